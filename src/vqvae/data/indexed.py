"""Items of tars, Parquet and Arrow files with random access, by an index that is made once and kept in the cache.

The index says where the bytes of each item lie. In tars, and in Arrow files without compression, they are read in place. Other files hold
them compressed, many together, so the cache keeps a copy of them. The index and the items stay on disk: memory does not grow with them.

An index belongs to files with certain sizes, inodes and times, as in ``vqvae.data.contents``.
"""

import errno
import functools
import hashlib
import json
import logging
import os
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Integer, UInt64

from vqvae import config
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.contents import SETTLED_NS, Facts, facts_of
from vqvae.data.labels import MAX_LABELS
from vqvae.data.records.found import Shards
from vqvae.data.records.places import Bad, Columns, Place, find_columns, table_places, tar_places
from vqvae.disk import atomic_folder, exists, explained, locked, read_text
from vqvae.errors import DataError
from vqvae.progress import tracked

_log = logging.getLogger(__name__)

_VERSION = 1  # Of the index. A change to it needs another place in the cache.
_LARGEST = 2**28
"""Bytes of index.json, which names the files and the bad items."""
_ARRAYS = {"offsets": "<i8", "sizes": "<u4", "labels": "<i4", "digests": "<u8"}
"""The arrays of the index, one value per item: 24 bytes. Offsets in the copy are stored as -1 - offset."""
_CODES = {"<i8": "q", "<u4": "I", "<i4": "i", "<u8": "Q"}
_COPY = "copy.bin"
_MOST_OPEN = 128
"""Files that stay open, of all that this process reads."""
_AT_ONCE = 2**16
"""Labels that are read at once."""


class IndexedItems:
    """Items of files, by their numbers. An item without bytes has a number, too. It can be pickled; threads may share it."""

    def __init__(self, folder: Path, shards: Shards) -> None:
        """Open an index.

        Args:
            folder: the index.
            shards: the files.

        Raises:
            DataError: if the index is damaged.
        """
        self._folder, self._shards = folder, shards
        try:
            about = config.loads(read_text(folder / "index.json", _LARGEST), str(folder))
            self._facts = [tuple(facts) for facts in about["facts"]]
            self._ends = np.cumsum(np.array(about["counts"], np.int64))
            self.bad = {int(row): str(reason) for row, reason in dict(about["bad"]).items()}
            """Why items have no bytes, by their numbers."""
            values = about["labels"]
            for name, kind in _ARRAYS.items():
                if (folder / name).stat().st_size != len(self) * np.dtype(kind).itemsize:
                    raise ValueError(f"{name} is too short")
        except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
            raise DataError(f"{folder} is a damaged cache ({error}). Remove it: the index is then made again.") from error
        self.label_names, self._numbers = _names(values, tuple(about["names"]))
        """The names of the labels; empty if there are none."""

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_offsets", "_sizes", "_labels")}

    @functools.cached_property
    def _offsets(self) -> np.ndarray:
        return self._mapped("offsets")

    @functools.cached_property
    def _sizes(self) -> np.ndarray:
        return self._mapped("sizes")

    @functools.cached_property
    def _labels(self) -> np.ndarray:
        return self._mapped("labels")

    def digests(self) -> UInt64[np.ndarray, " items"]:
        """A hash of the bytes of each item."""
        return np.fromfile(self._folder / "digests", _ARRAYS["digests"])

    def digest(self, rows: Integer[np.ndarray, " rows"] | slice, *, with_labels: bool = False) -> str:
        """A hash of the bytes of some items, in order, and of their labels if asked for."""
        found = hashlib.blake2b(self.digests()[rows].tobytes(), digest_size=16)
        if with_labels:
            numbers = np.arange(len(self))[rows]
            for first in range(0, len(numbers), _AT_ONCE):
                found.update(self.labels(numbers[first : first + _AT_ONCE]).tobytes())
        return found.hexdigest()

    def labels(self, rows: Integer[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
        """The labels of some items, as indices into ``label_names``; -1 for none."""
        return self._numbers[self._labels[rows]]

    def in_files(self, files: Sequence[str]) -> Bool[np.ndarray, " items"]:
        """Which items lie in these files."""
        chosen = set(files)
        counts = np.diff(self._ends, prepend=0)
        return np.repeat([file in chosen for file in self._shards.files], counts)

    def name(self, row: int) -> str:
        """An item in words, for messages: its file and its number in it, from 0."""
        file, number = self._place(row)
        return f"{os.path.join(self._shards.root, file)}, item {number}"

    def key(self, row: int) -> str:
        """The name of an item, ``shard-0.tar#17``: its file and its number in it, from 0."""
        file, number = self._place(row)
        return f"{file}#{number}"

    def read(self, rows: Integer[np.ndarray, " rows"]) -> list[bytes]:
        """The bytes of some items, in any order.

        Raises:
            DataError: if a file is gone, cannot be read, or has changed since it was indexed.
        """
        offsets, sizes = self._offsets[rows], self._sizes[rows]
        files = np.where(offsets < 0, -1, np.searchsorted(self._ends, rows, side="right"))
        starts = np.where(offsets < 0, -1 - offsets, offsets)
        found = [b""] * len(rows)
        for number in np.unique(files).tolist():
            chosen = np.flatnonzero(files == number)
            path = os.path.join(*((self._folder, _COPY) if number < 0 else (self._shards.root, self._shards.files[number])))
            with explained(DataError, path, "cannot be read", "Put the data back, then start again."):
                file = self._opened(number, path)
                for place in chosen[np.argsort(starts[chosen])].tolist():
                    found[place] = os.pread(file.descriptor, sizes[place], starts[place])
                    if len(found[place]) < sizes[place]:
                        advice = f"Remove {self._folder}: it is made again." if number < 0 else "Fetch the file again."
                        raise DataError(f"{self.name(int(rows[place]))}, cannot be read: {path} is cut short. {advice}")
        return found

    def _place(self, row: int) -> tuple[str, int]:
        file = int(np.searchsorted(self._ends, row, side="right"))
        return self._shards.files[file], row - int(self._ends[file - 1] if file else 0)

    def _mapped(self, name: str) -> np.ndarray:
        return np.asarray(np.memmap(self._folder / name, _ARRAYS[name], "r"))

    def _opened(self, number: int, path: str) -> "_OpenFile":
        """A file that was indexed, or the copy (-1) that now lies there."""
        file, expected = _files.get(path), self._facts[number] if number >= 0 else facts_of(os.stat(path))
        if file.facts() != expected:
            _files.forget(path)
            file = _files.get(path)  # It may be another file by now, or be gone.
            if file.facts() != expected:
                raise DataError(f"{path} has changed since it was indexed. Wait until nothing writes to it, then start again.")
        return file


class _OpenFile:
    """A file that stays open while anybody holds it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # At exit, the module ``os`` may be gone.
        close(self.descriptor)

    def facts(self) -> Facts:
        """What the system says about it."""
        return facts_of(os.fstat(self.descriptor))


class _OpenFiles:
    """The files that this process read last. A batch of pictures comes from nearly as many files, and to open one takes longer than to
    read it."""

    def __init__(self) -> None:
        self._files = dict[str, _OpenFile]()
        self.after_fork()

    def after_fork(self) -> None:
        """A child has not the thread that may hold the lock."""
        self._lock = threading.Lock()

    def get(self, path: str) -> _OpenFile:
        """A file, opened if it is not open."""
        with self._lock:
            file = self._files.pop(path, None)
        file = file or self._new(path)
        with self._lock:
            self._files[path] = file
            while len(self._files) > _MOST_OPEN:
                del self._files[next(iter(self._files))]
        return file

    def _new(self, path: str) -> _OpenFile:
        try:
            return _OpenFile(os.open(path, os.O_RDONLY))
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        with self._lock:  # The process may open no more files, and needs these least.
            self._files.clear()
        return _OpenFile(os.open(path, os.O_RDONLY))

    def forget(self, path: str) -> None:
        """Close a file, once nobody reads it."""
        with self._lock:
            self._files.pop(path, None)


_files = _OpenFiles()
if hasattr(os, "register_at_fork"):  # Not on Windows.
    os.register_at_fork(after_in_child=_files.after_fork)


def index_items(
    shards: Shards, suffixes: Sequence[str], *, column: str | None = None, label_column: str | None = None, cache: str | None = None
) -> IndexedItems:
    """Read files from beginning to end, once, and index their items. The next time, the index is taken from the cache.

    Args:
        shards: the files.
        suffixes: of the members of tars that have data.
        column: the column of tables with the data. Default: the only one with bytes.
        label_column: the column of tables with the labels. Default: ``label``, if there is one.
        cache: the folder of the indexes. Default: ``shards`` in the user's cache.

    Raises:
        ConfigError: if a column is missing, or several could have the data.
        DataError: if a file is damaged, there are no items, or files change while they are read.
    """
    columns = None if shards.are_tars else find_columns(shards.root, shards.files, column, label_column)
    facts = [_facts(shards.root / file) for file in shards.files]
    settings = [sorted(suffixes)] if columns is None else [columns.data, columns.label]
    key = json.dumps([_VERSION, str(shards.root.resolve()), list(zip(shards.files, facts, strict=True)), settings])
    top = user_cache() / "shards" if cache is None else user_path(cache)
    folder = top / hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    advice = f"{ADVICE[:-1]}, or give another folder with --data.cache."
    if not exists(folder) or not _is_settled(folder, facts):
        with locked(folder, DataError, advice):
            if not folder.is_dir() or not _is_settled(folder, facts):
                _log.info("Indexing %d files in %s.", len(shards.files), shards.root)
                with atomic_folder(folder, DataError, advice) as partial:
                    _fill(partial, shards, facts, columns, suffixes)
    return IndexedItems(folder, shards)


def _facts(path: Path) -> Facts:
    with explained(DataError, path, "cannot be read", "Check that it exists."):
        return facts_of(path.stat())


def _is_settled(folder: Path, facts: Sequence[Facts]) -> bool:
    """Whether the files had been at rest for a while when they were indexed. Otherwise a change may have left their times the same."""
    try:
        began = config.loads(read_text(folder / "index.json", _LARGEST), str(folder))["began"]
        return type(began) is int and all(max(times) < began - SETTLED_NS for _, _, *times in facts)
    except (OSError, ValueError, TypeError, KeyError):
        return False  # It is damaged.


def _fill(folder: Path, shards: Shards, facts: Sequence[Facts], columns: Columns | None, suffixes: Sequence[str]) -> None:
    """Write the arrays, the copy, and index.json."""
    began, counts, bad = time.time_ns(), [], {}
    labels: dict[int | str, int] = {}
    with (folder / _COPY).open("wb") as copy:
        for file, before in tracked(zip(shards.files, facts, strict=True), "indexing files", len(facts)):
            path, found = shards.root / file, {name: array(_CODES[kind]) for name, kind in _ARRAYS.items()}
            for place in tar_places(path, suffixes) if columns is None else table_places(path, columns):
                if isinstance(place, Bad):
                    bad[sum(counts) + len(found["sizes"])] = place.error
                    place = Place(b"", 0)
                number = -1 if place.label is None else labels.setdefault(place.label, len(labels)) if len(labels) <= MAX_LABELS else -1
                offset = place.offset
                if offset is None:
                    offset = -1 - copy.tell()
                    copy.write(place.content)
                digest = hashlib.blake2b(place.content, digest_size=8).digest()
                for name, value in zip(_ARRAYS, (offset, len(place.content), number, int.from_bytes(digest, "little")), strict=True):
                    found[name].append(value)
            if _facts(path) != before:
                raise DataError(f"{path} changed while it was read. Wait until nothing writes to it, then start again.")
            counts.append(len(found["sizes"]))
            for name, values in found.items():
                with (folder / name).open("ab") as output:
                    output.write(np.array(values, _ARRAYS[name]).tobytes())
    if not sum(counts):
        raise DataError(f"{shards.root} holds {len(counts)} files, but no items. Give another place.")
    values = list(labels) if len(labels) <= MAX_LABELS else None
    names = () if columns is None else columns.label_names
    about = {"began": began, "facts": facts, "counts": counts, "bad": bad, "labels": values, "names": names}
    (folder / "index.json").write_text(json.dumps(about))


def _names(values: list[int | str] | None, names: tuple[str, ...]) -> tuple[tuple[str, ...], Int64[np.ndarray, " numbers"]]:
    """The names of labels, and the index into them for each value, in the order of the values. The last entry is for -1: no label.

    Whole numbers from 0 to 65,535 stay the same. Larger or negative ones, and words, are numbered in sorted order.
    """
    if not values:
        return (), np.full(1 if values is not None else MAX_LABELS + 2, -1)
    if all(isinstance(value, int) for value in values):
        low, high = min(map(int, values)), max(map(int, values))
        if names and high < len(names):  # -1 is no label, as Hugging Face marks it.
            return names, np.array([*(max(int(value), -1) for value in values), -1])
        if low >= 0 and high < MAX_LABELS:
            return tuple(map(str, range(high + 1))), np.array([*map(int, values), -1])
        ordered: list[int | str] = sorted(values, key=int)
    else:
        ordered = sorted(set(map(str, values)))
    places = {str(value): number for number, value in enumerate(ordered)}
    return tuple(places), np.array([*(places[str(value)] for value in values), -1])
