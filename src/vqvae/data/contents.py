"""Names of files by their bytes, not by their paths, sizes or times.

Data keeps its name if it moves or its folder is renamed. If one byte changes, it gets another name.

Reading every byte takes a while, so the user's cache stores digests. A digest is valid as long as a file's size, inode, modification time
and change time (``ctime``) stay the same. Programs that preserve the modification time (``cp -p``, ``rsync -a``, ``tar``) cannot preserve
``ctime``, so a replaced file is read again. Symbolic links stand for their targets. A digest is not stored if the file cannot be read, or
changed within the last seconds: another change could leave the same times.
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
"""From this number of files on, reading them takes long enough for a message."""
SETTLED_NS = 3 * 10**9
"""A file that changed within this time may change again and keep its times: file systems are as coarse as 2 s."""
_ATTEMPTS = 3

Facts = tuple[int, int, int, int]
"""Size, inode, mtime_ns and ctime_ns of a file."""


class Content(NamedTuple):
    """A file's facts and digest."""

    facts: Facts
    digest: str
    """BLAKE2b of the file's bytes, 128 bits in hexadecimal."""


def read_contents(root: Path, files: Sequence[str]) -> dict[str, Content]:
    """The contents of files below a folder, by their paths relative to it. Files that cannot be read are omitted.

    Raises:
        DataError: if a file keeps changing while it is read.
    """
    memory = _memory(root)
    known = _recall(memory)
    found: dict[str, Content] = {}
    unknown: list[str] = []
    for file in files:
        with contextlib.suppress(OSError):
            facts, before = facts_of(os.stat(root / file)), known.get(file)
            if before is not None and before.facts == facts:
                found[file] = before
            else:
                unknown.append(file)
    if len(unknown) >= _MANY:
        _log.info("Reading %d files in %s to identify them by their contents.", len(unknown), root)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        read = tracked(pool.map(lambda file: _read(root / file), unknown, chunksize=1), "reading files", len(unknown))
        fresh = {file: content for file, content in zip(unknown, read, strict=True) if content is not None}
    settled = time.time_ns() - SETTLED_NS
    new = {file: content for file, content in fresh.items() if max(content.facts[2:]) < settled}
    if new:
        _remember(memory, known | new)
    return found | fresh


def check_unchanged(root: Path, contents: Mapping[str, Content]) -> None:
    """Raise an error if a file has changed since its contents were read.

    Raises:
        DataError: if at least one file was changed, replaced or removed.
    """
    changed = [file for file, content in contents.items() if not _is_same(root / file, content)]
    if changed:
        raise DataError(
            f"{len(changed)} of {len(contents)} files changed while they were read, such as {root / changed[0]}. "
            "Wait until nothing writes to them, then start again."
        )


def content_name(kind: str, facts: Any) -> str:
    """A name for data: its kind and a hash of facts, such as digests and settings. The facts must be valid JSON."""
    return f"{kind}-{hashlib.blake2b(json.dumps(facts).encode(), digest_size=12).hexdigest()}"


def facts_of(status: os.stat_result) -> Facts:
    """What the system says about a file."""
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _is_same(path: Path, content: Content) -> bool:
    try:
        return facts_of(os.stat(path)) == content.facts
    except OSError:
        return False


def _read(path: Path) -> Content | None:
    """Read a file whose facts are the same before and after; None if it cannot be read."""
    for _ in range(_ATTEMPTS):
        try:
            with path.open("rb") as file:
                before = facts_of(os.fstat(file.fileno()))
                digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
                if facts_of(os.fstat(file.fileno())) == before == facts_of(os.stat(path)):
                    return Content(before, digest)
        except OSError:
            return None
    raise DataError(f"{path} changes while it is read. Wait until nothing writes to it, then start again.")


def _memory(root: Path) -> Path | None:
    """The file for the digests of a folder; None if there is no cache."""
    try:
        folder = user_cache() / "contents"
    except DataError:
        return None
    return folder / f"{hashlib.blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()}.json"


def _recall(memory: Path | None) -> dict[str, Content]:
    """The stored digests; empty if they cannot be read or are damaged."""
    if memory is None:
        return {}
    try:
        kept = json.loads(memory.read_bytes())
        return {file: Content((int(size), int(inode), int(m), int(c)), str(name)) for file, (size, inode, m, c, name) in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _remember(memory: Path | None, known: Mapping[str, Content]) -> None:
    """Store digests for the next time. If that fails, the next time only takes longer."""
    if memory is None:
        return
    try:
        with atomic(memory, DataError) as partial:
            partial.write_text(json.dumps({file: [*content.facts, content.digest] for file, content in known.items()}))
    except DataError as error:
        _log.info("Digests of files are not stored: %s", error)
