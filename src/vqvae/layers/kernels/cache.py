"""Compiled kernels on disk, signed: numba stores them as pickles, and a pickle that somebody else wrote runs their code.

Each file ends with a signature under a key that only the user can read. A file without a valid signature is ignored, and the kernel is
compiled again. So is a file that is damaged. A cache that cannot be written costs compile time and nothing else.
"""

import hmac
import os
import pickle
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from numba.core import caching

_BYTES = 32
"""Length of the key and of a signature."""


def sign(function: Any) -> None:
    """Replace the cache of a compiled function by a signed one."""
    cache = function._cache
    cache._cache_file = SignedFile(_key(), cache._cache_file)


class SignedFile(caching.IndexDataCacheFile):  # type: ignore[misc]
    """numba's index and code files, each with a signature of its name and its content."""

    def __init__(self, key: bytes, plain: Any) -> None:
        """Take the place of numba's own ``plain`` file, in the same folder and under the same names."""
        vars(self).update(vars(plain))
        self._key = key

    def save(self, key: Any, data: Any) -> None:
        """Keep a kernel if the disk allows it."""
        with suppress(OSError):
            super().save(key, data)

    def _load_index(self) -> dict[Any, str]:
        stored = self._read(self._index_path)
        if stored is None or stored[:2] != (numba.__version__, self._source_stamp):
            return {}
        return stored[2]

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, (numba.__version__, self._source_stamp, overloads))

    def _load_data(self, name: str) -> Any:
        return self._read(self._data_path(name))

    def _save_data(self, name: str, data: Any) -> None:
        self._write(self._data_path(name), data)

    def _read(self, path: str) -> Any:
        """The content of a file; None if it is missing or its signature is wrong."""
        try:
            content = Path(path).read_bytes()
        except OSError:
            return None
        body, signature = content[:-_BYTES], content[-_BYTES:]
        if not hmac.compare_digest(signature, self._signature(path, body)):
            return None
        return pickle.loads(body)  # Only what this user has signed.

    def _write(self, path: str, value: Any) -> None:
        body = self._dump(value)
        with self._open_for_write(path) as file:
            file.write(body + self._signature(path, body))

    def _signature(self, path: str, body: bytes) -> bytes:
        return hmac.digest(self._key, os.path.basename(path).encode() + b"\0" + body, "sha256")


def _key() -> bytes:
    """The user's key, made at the first call. If it cannot be kept safely, a key for this process alone: then no file on disk is valid."""
    fresh = secrets.token_bytes(_BYTES)
    try:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vqvae" / "kernels.key"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        if not os.path.lexists(path):
            with suppress(FileExistsError):
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                try:
                    with open(descriptor, "wb") as file:
                        file.write(fresh)
                    os.link(partial, path)  # Fails if another process was faster.
                finally:
                    os.unlink(partial)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            found, key = os.fstat(descriptor), file.read(_BYTES + 1)
    except (OSError, RuntimeError):  # No home.
        return fresh
    private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077 if os.name != "nt" else True
    return key if private and len(key) == _BYTES else fresh
