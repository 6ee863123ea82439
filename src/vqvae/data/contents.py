"""What files are called: by their bytes, not by their paths, sizes or times.

Data that moved, or whose folder was renamed, keeps its name. Data of which one byte changed gets another.

Reading every byte takes a while, so a digest is remembered in the user's cache. It is used again while a file's size, inode, time of
modification and time of change (``ctime``) are the same. Programs that keep the time of modification (``cp -p``, ``rsync -a``, ``tar``)
cannot keep ``ctime``, so a replaced file is read again. Symbolic links stand for the files that they point to. A digest is not remembered
if the file changed within the last seconds, because a further change could leave the same times, or if the file could not be read.
"""

import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from vqvae.data.cache import user_cache
from vqvae.disk import atomic
from vqvae.errors import DataError
from vqvae.progress import tracked

_log = logging.getLogger(__name__)

_MANY = 5_000
"""From so many files on, reading them takes long enough to say so."""
_SETTLED_NS = 3 * 10**9
"""A file that changed within this time may change again without a change of its times: file systems count in up to 2 s."""
_ATTEMPTS = 3

Facts = tuple[int, int, int, int]
"""Size, inode, mtime_ns and ctime_ns of a file."""


class Content(NamedTuple):
    """What is known of a file."""

    facts: Facts
    digest: str
    """BLAKE2b of its bytes, 128 bits in hexadecimal."""


def read_contents(root: Path, files: Sequence[str]) -> dict[str, Content]:
    """The contents of files below a folder, by their paths relative to it. Files that cannot be read are left out.

    Raises:
        DataError: a file keeps changing while it is read.
    """
    memory = _memory(root)
    known = _recall(memory)
    found: dict[str, Content] = {}
    unknown: list[str] = []
    for file in files:
        with contextlib.suppress(OSError):
            facts, before = _facts(os.stat(root / file)), known.get(file)
            if before is not None and before.facts == facts:
                found[file] = before
            else:
                unknown.append(file)
    if len(unknown) >= _MANY:
        _log.info("Reading %d files in %s to know them by their contents.", len(unknown), root)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = tracked(pool.map(lambda file: _read(root / file), unknown, chunksize=1), "reading files", len(unknown))
        fresh = {file: content for file, content in zip(unknown, read, strict=True) if content is not None}
    settled = time.time_ns() - _SETTLED_NS
    new = {file: content for file, content in fresh.items() if max(content.facts[2:]) < settled}
    if new:
        _remember(memory, known | new)
    return found | fresh


def check_unchanged(root: Path, contents: Mapping[str, Content]) -> None:
    """Say so if a file is another one than when its contents were read.

    Raises:
        DataError: at least one file was changed, replaced or removed since.
    """
    changed = [file for file, content in contents.items() if not _is_same(root / file, content)]
    if changed:
        raise DataError(
            f"{len(changed)} of {len(contents)} files changed while they were read, such as {root / changed[0]}. "
            "Wait until nothing writes to them, then start again."
        )


def content_name(kind: str, facts: Any) -> str:
    """A name for data: its kind and a hash of facts, which ``json.dumps`` takes, such as digests and settings."""
    return f"{kind}-{hashlib.blake2b(json.dumps(facts).encode(), digest_size=12).hexdigest()}"


def _facts(status: os.stat_result) -> Facts:
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _is_same(path: Path, content: Content) -> bool:
    try:
        return _facts(os.stat(path)) == content.facts
    except OSError:
        return False


def _read(path: Path) -> Content | None:
    """Read a file whose facts are the same before and after; None if it cannot be read."""
    for _ in range(_ATTEMPTS):
        try:
            with path.open("rb") as file:
                before = _facts(os.fstat(file.fileno()))
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
                if _facts(os.fstat(file.fileno())) == before == _facts(os.stat(path)):
                    return Content(before, digest)
        except OSError:
            return None
    raise DataError(f"{path} changes while it is read. Wait until nothing writes to it, then start again.")


def _memory(root: Path) -> Path | None:
    """Where digests of files below a folder are remembered; None if there is no place."""
    try:
        folder = user_cache() / "contents"
    except DataError:
        return None
    return folder / f"{hashlib.blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()}.json"


def _recall(memory: Path | None) -> dict[str, Content]:
    """What is remembered; nothing if it cannot be read or is damaged."""
    if memory is None:
        return {}
    try:
        kept = json.loads(memory.read_bytes())
        return {file: Content((int(size), int(inode), int(m), int(c)), str(name)) for file, (size, inode, m, c, name) in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _remember(memory: Path | None, known: Mapping[str, Content]) -> None:
    """Keep digests for the next time. Where that fails, the next time takes longer; nothing else is lost."""
    if memory is None:
        return
    try:
        with atomic(memory, DataError) as partial:
            partial.write_text(json.dumps({file: [*content.facts, content.digest] for file, content in known.items()}))
    except DataError as error:
        _log.info("Digests of files are not remembered: %s", error)
