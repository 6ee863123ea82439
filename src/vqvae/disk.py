"""Atomic writes, locks and cleanup in one place. Files and folders appear whole or not at all, and nothing is removed that this package
did not make. The only importer of filelock.

FOLDER/.vqvae.tmp/     unfinished writes to FOLDER, each under a random name
  0f3a….lock           locked by the writer; the system releases it when the process ends
  0f3a…/new/NAME       becomes FOLDER/NAME
  0f3a…/old/NAME       the old FOLDER/NAME, between two renames, on file systems that cannot exchange two names
"""

import ctypes
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vqvae.errors import ConfigError, VqvaeError

TEMPORARY = ".vqvae.tmp"
_NEW, _OLD = "new", "old"
_PLACE = re.compile(r"([0-9a-f]{16})(\.lock)?")
_ATTEMPTS = 100
_MOMENT = 2.0
"""Seconds; longer than the time between a writer's two renames."""
LARGEST_TEXT = 2**24
"""Bytes; larger than any file of settings or scores."""
_LONGEST_NAME = 100
_LONGEST_PART, _LONGEST_PATH = 255, 4095
"""Bytes of one name and of a whole path: what Linux and most file systems take."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that are devices on Windows."""
_NO_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF}
"""Errors of file systems that cannot sync folders."""
_UNCHANGED = "What was there before is unchanged."


@contextmanager
def explained(error: type[VqvaeError], path: Path | str, what: str = "could not be written", advice: str = _UNCHANGED) -> Iterator[None]:
    """Turn the system's errors into ``error`` with the message "``path`` ``what`` (the system's reason). ``advice``"."""
    try:
        yield
    except (OSError, RecursionError) as reason:  # RecursionError: the path has thousands of folders.
        words = getattr(reason, "strerror", None) or str(reason)
        raise error(f"{path} {what} ({words}). {advice}") from reason


@contextmanager
def atomic(path: Path, error: type[VqvaeError] = VqvaeError, advice: str = _UNCHANGED) -> Iterator[Path]:
    """Yield a hidden path for a new file. At the end of the block the file is synced and replaces ``path``.

    After an error, or a kill at any moment, ``path`` is unchanged. Several writers can work at the same time.

    Args:
        path: the file to write. Missing folders are made.
        error: the class of the error if it cannot be written.
        advice: the last sentence of that error.

    Raises:
        VqvaeError: ``path`` cannot be written, or is a folder.
    """
    with explained(error, path, advice=advice), _workspace(path.parent) as place:
        new = place / _NEW / path.name
        yield new
        _sync(new)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder; expected a file", str(path))
        os.replace(new, path)
        _sync(path.parent)


@contextmanager
def atomic_folder(path: Path, error: type[VqvaeError] = VqvaeError, advice: str = _UNCHANGED) -> Iterator[Path]:
    """Yield a hidden folder to fill. At the end of the block it is synced and replaces the folder ``path``; see ``atomic``.

    On file systems that cannot exchange two names, a kill can leave the old folder set aside. ``exists`` and ``clean`` restore it.

    Raises:
        VqvaeError: ``path`` cannot be written, is a file, or contains something that the new folder lacks.
    """
    with explained(error, path, advice=advice), _workspace(path.parent) as place:
        new = place / _NEW / path.name
        new.mkdir()
        yield new
        for part in (*new.rglob("*"), new):
            _sync(part)
        lost = _lost(new, path)
        if lost:
            raise error(f"{path} contains {lost[:4]}, which would be lost. Choose another folder.")
        _take_place(new, path, place / _OLD / path.name)
        _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder that this package made. After a kill, the whole of it or nothing has its name."""
    with _workspace(path.parent) as place:
        os.rename(path, place / _NEW / path.name)


def exists(path: Path) -> bool:
    """Whether ``path`` exists. First restores what a killed writer had set aside, and removes what it left beside ``path``."""
    if not os.path.lexists(path) or os.path.isdir(path.parent / TEMPORARY):
        clean(path.parent)
    return os.path.exists(path)  # Also False if the system cannot tell.


def clean(folder: Path) -> None:
    """Remove what killed writers left in ``folder``, and restore what they had set aside. Files of others and of living writers stay."""
    places = folder / TEMPORARY
    if places.is_symlink():
        return  # Not made here: in a stranger's folder it may lead anywhere.
    try:
        names = {match[1] for name in os.listdir(places) if (match := _PLACE.fullmatch(name))}
    except OSError:
        return
    for place in (places / name for name in sorted(names)):
        lock = _lock(place)
        # The place may be gone by now, in use or read-only. Others will clean it.
        with suppress(OSError):
            lock.acquire(timeout=_MOMENT if (place / _OLD).is_dir() else 0)
            _close(place, lock)
    with suppress(OSError):
        places.rmdir()


@contextmanager
def locked(path: Path, error: type[VqvaeError] = VqvaeError, advice: str = "Choose another folder.") -> Iterator[None]:
    """Let only one process on this machine make ``path``. Others wait, and then find it made."""
    with ExitStack() as stack:
        with explained(error, path, advice=advice):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(path.with_name(f".{path.name}.lock")))
        yield


@contextmanager
def held(file: Path, seconds: float = -1) -> Iterator[bool]:
    """Hold a lock file. Yields whether it was acquired within ``seconds`` (-1: wait for it).

    The system releases it when the process ends. Child processes do not inherit it.
    """
    lock = FileLock(file)
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        free = False
    else:
        free = True
    try:
        yield free
    finally:
        if free:
            lock.release()


def user_path(path: Any, error: type[VqvaeError] = ConfigError) -> Path:
    """A path that a user or a settings file gives, with ``~`` and ``~NAME`` as home folders. ``./~NAME`` is a file in this folder.

    Args:
        path: a string or a path.
        error: the kind of error to raise.

    Raises:
        VqvaeError: it is no path, holds a NUL or text that is not Unicode, is too long, or names a home folder that does not exist.
    """
    if not isinstance(path, (str, os.PathLike)) or not isinstance(text := os.fspath(path), str):
        raise error(f"A path came as {type(path).__name__}; expected a string or a pathlib.Path.")
    brief = repr(text if len(text) <= 80 else f"{text[:79]}…")
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError as reason:
        raise error(f"The path {brief} holds text that is not valid Unicode. Write it again.") from reason
    if b"\0" in encoded:
        raise error(f"The path {brief} holds a NUL character, which no file name can have. Remove it.")
    if len(encoded) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_PART for part in Path(text).parts):
        raise error(f"The path {brief} is too long: a name has at most {_LONGEST_PART} bytes, a path {_LONGEST_PATH}. Shorten it.")
    try:
        return typed_path(text).expanduser()
    except RuntimeError as reason:
        raise error(f"The path {brief} names no place ({reason}). Write the path out.") from reason


def typed_path(text: str) -> Path:
    """A path as a user typed it. pathlib drops the "./" of ``./~name``, and ``expanduser`` would take the rest for a home folder."""
    path = Path(text)
    return path.absolute() if str(path).startswith("~") and not text.startswith("~") else path


def read_text(path: Path, limit: int = LARGEST_TEXT) -> str:
    """The text of a small file in UTF-8, without a byte order mark. Does not block on a pipe, and reads at most ``limit`` bytes.

    Raises:
        OSError: the file is missing, unreadable, too large, or not a plain file.
        ValueError: it is not UTF-8.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        _check_regular(found, path)
        content = file.read(min(found.st_size, limit) + 1)  # Python allocates all that it may read.
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", str(path))
    return content.decode("utf-8-sig")


def check_plain(path: Path) -> None:
    """Raise OSError unless ``path`` is a plain file or a link to one: a pipe or a device may never end."""
    _check_regular(path.stat(), path)


def check_outputs(outputs: Iterable[Path], inputs: Iterable[Path] = (), *, overwrite: bool = False) -> None:
    """Check the output files that a user names before any work is done.

    Args:
        outputs: the files to write.
        inputs: files that are read and must not be overwritten.
        overwrite: whether existing files may be replaced.

    Raises:
        ConfigError: an output exists already, is not a plain file, is an input, is named twice, or cannot be written.
    """
    read = tuple(inputs)
    taken = {_key(path): path for path in read}
    for path in outputs:
        with explained(ConfigError, path, "cannot be written", "Choose another --out."):
            _check_output(path, read, overwrite)
        other = taken.get(_key(path))
        if other in read:
            raise ConfigError(f"{path} is the input {other}, which would be lost. Choose another --out.")
        if other is not None:
            raise ConfigError(f"{path} would be written twice, as {other}. Give files with different names.")
        taken[_key(path)] = path


def safe_name(name: str) -> str:
    """A file name for any text, such as a name in a stranger's run: no separators, no leading dot, not too long."""
    kept = re.sub(r"[^\w+\-=@.,() ]", "_", unicodedata.normalize("NFC", name)).rstrip(". ")
    kept = re.sub(r"^[. ]+", "_", kept).encode()[:_LONGEST_NAME].decode(errors="ignore").rstrip(". ")
    return f"_{kept}" if not kept or _RESERVED.fullmatch(kept) else kept


def safe_names(names: Iterable[str]) -> list[str]:
    """``safe_name`` of each, in order. A name that is taken, ignoring case, gets a number."""
    found: list[str] = []
    taken: set[str] = set()
    for name in map(safe_name, names):
        number, unique = 2, name
        while unique.casefold() in taken:
            number, unique = number + 1, f"{name}-{number}"
        taken.add(unique.casefold())
        found.append(unique)
    return found


@contextmanager
def _workspace(folder: Path) -> Iterator[Path]:
    """Make and lock a hidden place in ``folder`` for one write; remove it with its contents at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    clean(folder)
    owner, (place, lock) = os.getpid(), _claim(folder / TEMPORARY)
    try:
        (place / _NEW).mkdir(parents=True)
        yield place
    finally:
        # A forked child must not clean up what its parent writes.
        if os.getpid() == owner:
            _close(place, lock)
            with suppress(OSError):
                place.parent.rmdir()


def _claim(places: Path) -> tuple[Path, FileLock]:
    """A new place for a write, and its lock, which is held."""
    for _ in range(_ATTEMPTS):
        place = places / secrets.token_hex(8)
        lock = _lock(place)
        # Another process may clean up at this very moment.
        with suppress(FileNotFoundError, Timeout):
            if places.is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, f"{places} is a link", str(places))
            places.mkdir(exist_ok=True)
            lock.acquire(timeout=0)
            return place, lock
    raise FileNotFoundError(errno.ENOENT, "it is removed all the time", str(places))


def _lock(place: Path) -> FileLock:
    return FileLock(place.with_suffix(".lock"))


def _close(place: Path, lock: FileLock) -> None:
    """End a write whose lock is held: restore what it had set aside, remove the rest, release the lock."""
    try:
        if _put_back(place, place.parent.parent):
            shutil.rmtree(place, ignore_errors=True)
            if os.name != "nt":  # Before the release, so that a waiting process sees that this lock is obsolete.
                os.unlink(lock.lock_file)
    finally:
        lock.release()
    if os.name == "nt" and not place.exists():
        with suppress(OSError):
            os.unlink(lock.lock_file)


def _put_back(place: Path, folder: Path) -> bool:
    """Restore what was set aside and has no successor. Returns whether the rest of the place can be removed."""
    if place.is_symlink() or (place / _OLD).is_symlink():
        return True  # Not made here: the link is removed, its target stays.
    try:
        for old in (place / _OLD).iterdir():
            if not os.path.lexists(folder / old.name):
                os.rename(old, folder / old.name)
                _sync(folder)
    except FileNotFoundError:
        return True  # Nothing was set aside.
    except OSError:
        return False
    return True


def _take_place(new: Path, path: Path, aside: Path) -> None:
    """Rename the folder ``new`` to ``path``. An old folder ends up in the place of this write."""
    if not os.path.lexists(path):
        os.rename(new, path)
    elif not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is a file; expected a folder", str(path))
    elif not _exchange(new, path):
        # For a moment the old folder exists only as ``aside``. After a failure, ``_close`` or the next process restores it.
        aside.parent.mkdir()
        os.rename(path, aside)
        os.rename(new, path)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two names atomically. Returns False if the system (not Linux) or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    at_working_directory, exchange = -100, 2
    if renameat2 is None:
        return False
    return renameat2(at_working_directory, os.fsencode(a), at_working_directory, os.fsencode(b), exchange) == 0


def _lost(new: Path, old: Path) -> list[str]:
    """What the folder ``old`` contains and ``new`` does not."""
    kept = {path.relative_to(new) for path in new.rglob("*")}
    return sorted(path.relative_to(old).as_posix() for path in old.rglob("*") if path.relative_to(old) not in kept) if old.is_dir() else []


def _sync(path: Path) -> None:
    """Sync a file's contents or a folder's entries to the disk, so that a power cut leaves no name without content."""
    folder, windows = path.is_dir(), os.name == "nt"
    if windows and folder:
        return
    descriptor = os.open(path, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not folder or error.errno not in _NO_SYNC:
            raise
    finally:
        os.close(descriptor)


def _check_regular(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL
        raise OSError(code, "it is a folder" if code == errno.EISDIR else "it is not a plain file", str(path))


def _check_output(path: Path, inputs: Iterable[Path], overwrite: bool) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; expected the name of a file. Choose another --out.")
    for source in inputs:
        if path.exists() and source.exists() and os.path.samefile(path, source):
            raise ConfigError(f"{path} is the input {source}, which would be lost. Choose another --out.")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a plain file. Choose another --out.")
    if os.path.lexists(path) and not overwrite:
        raise ConfigError(f"{path} exists already. Choose another --out, or replace it with --overwrite.")
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise ConfigError(f"{above} is a file; expected a folder. Choose another --out.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{above} is not writable. Choose another --out.")


def _key(path: Path) -> str:
    """Equal for paths of one file, also on a file system that ignores case."""
    return unicodedata.normalize("NFC", os.path.realpath(path)).casefold()
