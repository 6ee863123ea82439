import hashlib
import http.server
import io
import tarfile
import threading

import pytest

from vqvae.data.download import download, extract
from vqvae.errors import DataError

_CONTENT = b"some bytes" * 1000
_CHECKSUM = f"sha256:{hashlib.sha256(_CONTENT).hexdigest()}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", str(len(_CONTENT)))
        self.end_headers()
        self.wfile.write(_CONTENT[: 5000 if self.path == "/short" else None])

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_arrives_whole_and_is_not_fetched_again(server, tmp_path):
    path = tmp_path / "deep" / "file"
    download(f"{server}/file", path, checksum=_CHECKSUM)
    assert path.read_bytes() == _CONTENT
    download(f"{server}/none", path, checksum=_CHECKSUM)
    assert path.read_bytes() == _CONTENT


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    (tmp_path / "file").write_bytes(b"damaged")
    download(f"{server}/file", tmp_path / "file", checksum=_CHECKSUM)
    assert (tmp_path / "file").read_bytes() == _CONTENT


@pytest.mark.parametrize(
    ("url", "checksum", "message"),
    [
        ("{server}/file", "md5:00", "expected 00"),
        ("{server}/none", _CHECKSUM, "cannot be fetched: Not Found"),
        ("{server}/short", _CHECKSUM, "broke off after 5000 of 10000 bytes"),
        ("http://127.0.0.1:1/file", _CHECKSUM, "cannot be fetched: .*refused"),
        ("http://no-such-host.invalid/file", _CHECKSUM, "cannot be fetched"),
    ],
)
def test_failures_say_what_to_do_and_leave_nothing(server, tmp_path, url, checksum, message):
    with pytest.raises(DataError, match=f"{message}.*--data DIR"):
        download(url.format(server=server), tmp_path / "file", checksum=checksum)
    assert not list(tmp_path.iterdir())


def _tar(path, name):
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 2
        tar.addfile(member, io.BytesIO(b"hi"))


def test_an_archive_is_unpacked(tmp_path):
    _tar(tmp_path / "a.tar.gz", "deep/file")
    extract(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / "deep" / "file").read_bytes() == b"hi"


@pytest.mark.parametrize("name", ["../outside", "deep/../../outside"])
def test_names_that_point_outside_are_refused(tmp_path, name):
    _tar(tmp_path / "a.tar.gz", name)
    (tmp_path / "out" / "deep").mkdir(parents=True)
    with pytest.raises(DataError, match="cannot be unpacked"):
        extract(tmp_path / "a.tar.gz", tmp_path / "out")
    assert not (tmp_path / "outside").exists()


def test_a_damaged_archive_is_named(tmp_path):
    _tar(tmp_path / "a.tar.gz", "file")
    (tmp_path / "a.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:30])
    with pytest.raises(DataError, match=r"a\.tar\.gz cannot be unpacked"):
        extract(tmp_path / "a.tar.gz", tmp_path / "out")
