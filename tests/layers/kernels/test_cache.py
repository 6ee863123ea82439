"""Compiled kernels on disk are signed."""

import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("numba")
from vqvae.layers.kernels import cache


class Code:
    """What a hostile pickle does: it runs as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def file_in(folder: Path, key: bytes = b"k" * 32) -> cache.SignedFile:
    return cache.SignedFile(key, cache.caching.IndexDataCacheFile(str(folder), "kernel", 1.0))


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    file_in(tmp_path).save("signature", {"code": b"machine"})
    assert file_in(tmp_path).load("signature") == {"code": b"machine"}
    assert file_in(tmp_path).load("other") is None
    assert file_in(tmp_path, b"x" * 32).load("signature") is None


@pytest.mark.parametrize("which", ["kernel.nbi", "kernel.1.nbc"])
def test_files_of_others_are_never_unpickled(tmp_path: Path, which: str) -> None:
    file_in(tmp_path).save("signature", "good")
    good = (tmp_path / which).read_bytes()
    for content in (pickle.dumps(Code(tmp_path / "ran")), pickle.dumps(Code(tmp_path / "ran")) + good[-32:], good[: len(good) // 2], b""):
        (tmp_path / which).write_bytes(content)
        assert file_in(tmp_path).load("signature") is None
    assert not (tmp_path / "ran").exists()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    missing = file_in(tmp_path / "missing")
    missing.save("signature", "good")
    assert missing.load("signature") is None


def test_the_key_is_private_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    key = cache._key()
    path = tmp_path / "vqvae" / "kernels.key"
    assert cache._key() == key == path.read_bytes() and path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(path.parent) == ["kernels.key"]
    path.chmod(0o644)
    assert cache._key() != key
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert len(cache._key()) == 32 and cache._key() != key


def test_a_function_gets_a_signed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    function = SimpleNamespace(_cache=SimpleNamespace(_cache_file=file_in(tmp_path)))
    cache.sign(function)
    assert isinstance(function._cache._cache_file, cache.SignedFile)
