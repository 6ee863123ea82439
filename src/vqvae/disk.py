"""How files and folders appear on the disk: whole, or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a hidden path beside ``path`` to write a file or a folder to, and rename it to ``path`` at the end.

    After an error, or after a kill at any moment, ``path`` is as it was before; what a killed writer left beside it is
    cleared by the next one. Two writers of one path at the same time must hold ``locked(path)``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    _remove(partial)
    try:
        yield partial
        for file in [partial] if partial.is_file() else partial.rglob("*"):
            _sync(file)
        if path.is_dir():
            shutil.rmtree(path)  # A folder cannot be renamed over one that has files in it.
        os.replace(partial, path)
        _sync(path.parent)
    except BaseException:
        _remove(partial)
        raise


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process on this machine that makes ``path``; a second one waits here, and then finds it made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sync(path: Path) -> None:
    # Without this, a power cut after the rename can leave a file of the right name and no content.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
