"""Items in tars, Parquet and Arrow files, and on which side each is: by the names of folders and files, or by a hash of its bytes."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Integer

from vqvae.data.cache import user_path
from vqvae.data.indexed import IndexedItems, index_items
from vqvae.data.records.found import Shards, find_shards
from vqvae.data.sides import HELD_OUT, TRAIN, find_sides
from vqvae.data.split import split_by_digests
from vqvae.errors import DataError

_log = logging.getLogger(__name__)


class FoundShards(NamedTuple):
    """Items in shards, and their sides."""

    where: str
    items: IndexedItems
    train: Integer[np.ndarray, " train"]
    """The numbers of the items to train on, in order."""
    held_out: Integer[np.ndarray, " held_out"]
    """The numbers of the items that are held out, in order."""
    words: str
    """How the sides were chosen. Empty if nothing in the names says it."""

    def classes(self, wanted: bool | None) -> tuple[str, ...]:
        """The names of the classes; empty if labels are not used.

        Args:
            wanted: whether labels are classes. If None, they are classes if every item has one, and there are at least two classes,
                with two training items each on average.

        Raises:
            DataError: if ``wanted`` is true and an item has no label.
        """
        items = self.items
        if wanted is False or not items.label_names:
            if wanted:
                raise DataError(f"{self.where} has no labels. Name their column with --data.label-column, or set classes to false.")
            return ()
        train, held_out = (_counts(items, rows) for rows in (self.train, self.held_out))
        used, total = int((train[1:] > 0).sum()), len(self.train)
        reasons = {
            "some items have none": bool(train[0] or held_out[0]),
            "there is only one": used < 2,
            "they have fewer than two items each": total < 2 * used,
        }
        reason = next((words for words, holds in reasons.items() if holds), "")
        if reason and wanted and reason.startswith("some"):
            raise DataError(f"{self.where} has labels, but {reason}. Give each item one, or set classes to false.")
        if reason and wanted is None:
            _log.info("The labels are not taken for classes: %s.", reason)
            return ()
        return items.label_names


def open_shards(
    path: str, suffixes: Sequence[str], *, column: str | None = None, label_column: str | None = None, cache: str | None = None
) -> FoundShards:
    """Index the items at a place and split them.

    Args:
        path: a folder, a file, or a pattern of file names; see ``ImageShardsConfig``.
        suffixes: of the members of tars that have data.
        column: the column of tables with the data. Default: the only one with bytes.
        label_column: the column of tables with the labels. Default: ``label``, if there is one.
        cache: the folder of the index. Default: ``shards`` in the user's cache.

    Raises:
        ConfigError: if a column is missing, or several could have the data.
        DataError: if there are no shards or items, or a file is damaged.
    """
    place = user_path(path)
    shards = find_shards(place)
    if shards is None:
        raise DataError(
            f"{place} holds no .tar, .parquet or .arrow files. Give a folder of them, one file, or a pattern of their names. Unpack "
            "compressed tars."
        )
    items = index_items(shards, suffixes, column=column, label_column=label_column, cache=cache)
    has_bytes = np.ones(len(items), bool)
    has_bytes[list(items.bad)] = False
    held_out, used, words = _held_out(shards, items, has_bytes, str(place))
    sides = [np.flatnonzero(used & has_bytes & side) for side in (~held_out, held_out)]
    for rows, name in zip(sides, ("train on", "hold out"), strict=True):
        if not len(rows):
            raise DataError(f"{place} has no items to {name}. {words or 'Give more of them.'}")
    kind = np.uint32 if len(items) < 2**32 else np.int64
    return FoundShards(str(place), items, sides[0].astype(kind), sides[1].astype(kind), words)


def _held_out(shards: Shards, items: IndexedItems, good: Bool[np.ndarray, " items"], where: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Whether each item is held out, whether it is used, and how that was decided, in words."""
    named = {_with_side(file): file for file in shards.files} if _names_have_sides(shards) else {file: file for file in shards.files}
    sides = find_sides(shards.root, list(named))
    if sides.held_out is not None:
        train, held = ([named[item.file] for item in side] for side in (sides.train, sides.held_out))
        held_out = items.in_files(held)
        return held_out, held_out | items.in_files(train), sides.words
    used = items.in_files([named[item.file] for item in sides.train])
    held_out = np.zeros(len(items), bool)
    held_out[used & good] = split_by_digests(items.digests()[used & good], where)
    return held_out, used, sides.words


def _names_have_sides(shards: Shards) -> bool:
    """Whether no folder has the name of a side, but the names of files have those of both."""
    folders = {part.casefold() for file in shards.files for part in Path(file).parts[:-1]}
    words = {_side_word(file) for file in shards.files}
    return not folders & {*TRAIN, *HELD_OUT} and bool(words & {*TRAIN}) and bool(words & {*HELD_OUT})


def _with_side(file: str) -> str:
    """The path of a file in a folder of its side."""
    word = _side_word(file)
    return f"{word}/{file}" if word else file


def _side_word(file: str) -> str:
    """The first word in the name of a file that is that of a side, or ""."""
    words = re.split(r"[^a-z]+", Path(file).stem.casefold())
    return next((word for word in words if word in (*TRAIN, *HELD_OUT)), "")


def _counts(items: IndexedItems, rows: Integer[np.ndarray, " rows"]) -> Integer[np.ndarray, " counts"]:
    """The number of items without a label, and with each label."""
    counts = np.zeros(len(items.label_names) + 1, np.int64)
    for first in range(0, len(rows), 2**16):
        counts += np.bincount(items.labels(rows[first : first + 2**16]) + 1, minlength=len(counts))
    return counts
