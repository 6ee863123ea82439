"""How files and folders appear on the disk: whole, or not at all. What this package did not make is never removed.

Something new is written under a hidden name beside its place, ``.NAME.HOST-PID-RANDOM.vqvae``, and then takes that place. Two writers
never share such a name. What a killed writer left is cleared by the next one, by that name and only when the writer is dead.
"""

import contextlib
import ctypes
import os
import platform
import re
import secrets
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import filelock

_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_HIDDEN = re.compile(r"\.(?P<name>.+)\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.vqvae")
_ASIDE = "aside.vqvae"
_LONGEST_NAME = 200
"""Bytes of a name of a file; file systems take 255, and hidden names are longer."""


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a hidden path beside ``path`` to write a file to, which takes the place of the file ``path`` at the end.

    After an error, or after a kill at any moment, ``path`` is as it was before.

    Raises:
        OSError: the place cannot be written, or is a folder.
    """
    _refuse_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_dead(path)
    hidden = _hidden_name(path)
    try:
        yield hidden
        sync(hidden)
        _refuse_folder(path)
        os.replace(hidden, path)
        sync(path.parent)
    finally:
        hidden.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a hidden folder beside ``path`` to fill, which takes the place of the folder ``path`` at the end.

    After an error, or after a kill at any moment, ``path`` is as it was before; where two names cannot be exchanged, ``recover(path)``
    makes it so.

    Raises:
        OSError: the place cannot be written, is a file, or holds what the new folder does not have and what would be lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    recover(path)
    _clear_dead(path)
    hidden = _hidden_name(path)
    try:
        hidden.mkdir()
        yield hidden
        lost = sorted(_entries(path) - _entries(hidden))
        if lost:
            raise FileExistsError(f"{path} holds {lost[:4]}, which would be lost. Choose another folder.")
        for entry in (*hidden.rglob("*"), hidden):
            sync(entry)
        _take_place(hidden, path)
        sync(path.parent)
    finally:
        # The new folder after an error, the old one otherwise: its names are all in the new one.
        shutil.rmtree(hidden, ignore_errors=True)


def recover(path: Path) -> None:
    """Put a folder back that a killed writer had moved aside, where two names cannot be exchanged."""
    aside = _aside(path)
    if not path.exists() and aside.is_dir():
        with contextlib.suppress(FileNotFoundError):  # Another process has done it.
            aside.rename(path)


def remove_folder(path: Path) -> None:
    """Remove a folder that this package made. It is renamed first: a kill in the middle leaves nothing half-removed under a good name."""
    hidden = _hidden_name(path)
    path.rename(hidden)
    shutil.rmtree(hidden, ignore_errors=True)


def clear_dead_writers(folder: Path) -> None:
    """Remove what killed writers left in a folder: hidden names of this package whose process is gone."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        _remove_if_dead(entry)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Be the only process on this machine that makes ``path``; a second one waits, and then finds it made. The system lets go of the lock
    when its process ends, however it ends.

    Raises:
        BlockingIOError: another process has the lock, and ``wait`` is False.
        OSError: the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise BlockingIOError(f"another process has {path}") from error
    try:
        yield
    finally:
        lock.release()


def sync(path: Path) -> None:
    """Wait until a file's contents, or a folder's entries, are on the disk: without it, a power cut after a rename can leave a file of the
    right name and no content."""
    if os.name == "nt" and path.is_dir():  # Windows opens no folders.
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def safe_name(words: str, taken: set[str] | None = None) -> str:
    """A name for a file from words that may come from a stranger: one component of a path, not hidden, of bounded length.

    Args:
        taken: names that are taken, in lower case; the new one is added, with a number where it was there.
    """
    name = re.sub(r"[^\w .+=,@-]", "_", words).strip(" .") or "_"
    name = name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    if taken is None:
        return name
    numbered, number = name, 1
    while numbered.lower() in taken:
        number += 1
        numbered = f"{name}-{number}"
    taken.add(numbered.lower())
    return numbered


def _hidden_name(path: Path) -> Path:
    name = path.name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    return path.with_name(f".{name}.{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.vqvae")


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{_ASIDE}")


def _clear_dead(path: Path) -> None:
    """Remove what killed writers of this very path left."""
    for entry in path.parent.iterdir():
        if (found := _HIDDEN.fullmatch(entry.name)) and found["name"] == path.name:
            _remove_if_dead(entry)


def _remove_if_dead(entry: Path) -> None:
    found = _HIDDEN.fullmatch(entry.name)
    # Of a writer on another machine nobody knows here whether it lives.
    if found is None or found["host"] != _HOST or _is_alive(int(found["pid"])):
        return
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # There, signal 0 would end the process.
        return pid == os.getpid()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _entries(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, and a file is to be written there. Choose another name.")


def _take_place(new: Path, old: Path) -> None:
    """Rename ``new`` to ``old``. Whatever was there is under the name ``new`` afterwards."""
    if not old.exists():
        new.rename(old)
    elif not old.is_dir():
        raise NotADirectoryError(f"{old} is a file, and a folder is to be written there. Choose another name.")
    elif not _exchange(new, old):
        # This file system cannot exchange: for a moment the old folder is only there under its name aside.
        aside = _aside(old)
        old.rename(aside)
        try:
            new.rename(old)
        except BaseException:
            aside.rename(old)
            raise
        aside.rename(new)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two names atomically, where the system (Linux) and the file system can."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if platform.system() == "Linux" else None
    at_working_directory, exchange = -100, 2
    if renameat2 is None:
        return False
    return renameat2(at_working_directory, os.fsencode(a), at_working_directory, os.fsencode(b), exchange) == 0
