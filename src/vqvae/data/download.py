"""Download public data sets: checked against a published checksum, and complete or not at all."""

import hashlib
import http.client
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from vqvae.disk import atomic
from vqvae.errors import DataError

_SECONDS = 60
_CHUNK = 1 << 20


def download(url: str, path: Path, *, checksum: str) -> None:
    """Download ``url`` to ``path``, and keep it only if ``checksum`` ("sha256:..." or "md5:...") matches.

    Args:
        url: http, https or file.
        path: the file, which appears once it is complete and checked. An existing file with the right checksum is kept.
        checksum: the algorithm, a colon, and the digest in hexadecimal.

    Raises:
        DataError: if there is no network, the answer is not the file, or the checksum is wrong.
    """
    algorithm, _, expected = checksum.partition(":")
    if path.is_file():
        with path.open("rb") as file:
            if hashlib.file_digest(file, algorithm).hexdigest() == expected:
                return
    with atomic(path, DataError) as partial:
        digest = hashlib.new(algorithm)
        with partial.open("wb") as file:
            for chunk in _chunks(url):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != expected:
            raise DataError(
                f"{url} came with {algorithm} {digest.hexdigest()}; expected {expected}. It was damaged on the way or has changed. "
                "Try again, or fetch it yourself and give its folder with --data DIR."
            )


def extract(archive: Path, folder: Path) -> None:
    """Unpack a .tar or .tar.gz. Names that point outside of ``folder``, devices and the like are refused.

    Raises:
        DataError: if the archive is damaged or holds such a name.
    """
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}. Remove it and try again.") from error


def _chunks(url: str) -> Iterator[bytes]:
    """The answer, piece by piece. Network failures become errors that say what to do."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            length = answer.headers.get("Content-Length")
            received = 0
            while chunk := answer.read(_CHUNK):
                received += len(chunk)
                yield chunk
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{url} cannot be fetched: {reason}. Fetch it on another machine and give its folder with --data DIR.") from error
    if length is not None and received != int(length):
        raise DataError(f"{url} broke off after {received} of {length} bytes. Try again, or fetch it yourself and use --data DIR.")
