"""Pictures in tars, Parquet and Arrow files as a data set that need not fit into memory."""

import dataclasses
import logging
import math
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Integer

from vqvae.building import check_memory
from vqvae.config import INCIDENTAL, check_at_least, settings
from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.data.contents import content_name
from vqvae.data.files import report_bad
from vqvae.data.indexed import IndexedItems
from vqvae.data.shard_sides import FoundShards, open_shards
from vqvae.errors import DataError
from vqvae.media.images import SUFFIXES, read_image
from vqvae.signals import pictures

_log = logging.getLogger(__name__)

_BYTES_OF_VALUE = 4
"""Pictures are resized as pixels of four bytes, or as floats."""
_MOST_IN_A_ROW = 100
"""Damaged items in a row that are skipped. More are no accident."""


@settings
class ImageShardsConfig:
    """Pictures in shards: WebDataset tars, Parquet files, or a folder that ``save_to_disk`` of Hugging Face ``datasets`` wrote.

    The pictures stay in the files and are decoded batch by batch, so that a set may be larger than memory. Any picture can be read at any
    time: the order of batches depends only on the seed and the step. For this, the files are read once from beginning to end, and an index
    is kept in the cache. Parquet files hold pictures compressed, many together; the cache keeps a copy of their bytes.

    Folders such as ``train/`` and ``test/`` define the sides; see ``vqvae.data.sides.find_sides``. So do words in the names of files, such
    as ``train-00000-of-00008.parquet``, if there are some for both sides. Otherwise, 5 % of the pictures are held out, at least one. A hash
    of their bytes selects them, so equal pictures are on one side.
    """

    kept_in: ClassVar[tuple[str, str]] = ("cache", "*/index.json")
    """The field with the cache folder, and a pattern that matches the files in it."""

    path: str = dataclasses.field(metadata=INCIDENTAL | {"value": "FOLDER|FILE"})
    """The folder, one file, or a pattern of file names, such as ``data/train-*.tar``."""
    size: int | tuple[int, int] = dataclasses.field(metadata={"value": "N [N]"})
    """Height and width in pixels; one number for squares. The largest central region with this aspect ratio is cropped and resized."""
    channels: Literal[1, 3] = 3
    """3 for RGB, 1 for greyscale."""
    levels: Literal[256, 65_536] = 256
    """256 gives uint8. 65,536 keeps 16-bit greys, as int32."""
    column: str | None = dataclasses.field(default=None, metadata={"value": "NAME"})
    """The column of tables with the pictures. Default: the only one with bytes."""
    label_column: str | None = dataclasses.field(default=None, metadata={"value": "NAME"})
    """The column of tables with the classes, as numbers or names. Default: ``label``, if there is one."""
    classes: bool | None = None
    """Whether labels are classes. Default: true if every picture has one, and there are at least two classes, with two pictures each on
    average."""
    mirror: bool = False
    """Add a mirrored copy of every training picture."""
    cache: str | None = dataclasses.field(default=None, metadata=INCIDENTAL | {"value": "FOLDER"})
    """The folder for the index; default: ~/.cache/vqvae/shards."""
    skip_bad: bool = dataclasses.field(default=False, metadata=INCIDENTAL)
    """Skip pictures that cannot be decoded, with a warning, instead of stopping. The next picture takes the place of each."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return (self.channels, *((self.size, self.size) if isinstance(self.size, int) else self.size))

    def build(self) -> Splits:
        """Find the files and index them, or find the index in the cache.

        Raises:
            ConfigError: if a column is missing, or several could have the pictures.
            DataError: if there are no pictures, or a file is damaged.
        """
        check_at_least(1, "ImageShardsConfig", size=min(self.shape[1:]))
        check_memory(_BYTES_OF_VALUE * math.prod(self.shape), f"A picture of the size {self.size}")
        found = open_shards(self.path, SUFFIXES, column=self.column, label_column=self.label_column, cache=self.cache)
        report_bad(
            {str(row): f"{found.items.name(row)}: {why}" for row, why in found.items.bad.items()}, len(found.items), "image", self.skip_bad
        )
        label_names = found.classes(self.classes)
        words = _words(found, label_names, self)
        splits = Splits(*(_dataset(found, side, label_names, self) for side in Splits._fields))
        for dataset in splits:
            dataset.found = words
        return splits


class ShardedImages(Dataset):
    """Pictures that are read from files and decoded batch by batch. Only their numbers are in memory, in 4 bytes each."""

    def __init__(
        self,
        items: IndexedItems,
        rows: Integer[np.ndarray, " rows"],
        shape: tuple[int, int, int],
        *,
        name: str,
        label_names: tuple[str, ...] = (),
        levels: int = 256,
        mirror: bool = False,
        skip_bad: bool = False,
    ) -> None:
        """Take items that have bytes.

        Args:
            items: all items of the files.
            rows: the numbers of those on this side.
            shape: channels, height and width.
            mirror: whether to double the set, as in ``ArrayDataset``.
            skip_bad: whether the next picture takes the place of one that cannot be decoded.
        """
        self.name, self.label_names, self.signal = name, label_names, pictures(shape[0], levels)
        self._items, self._rows, self._shape, self._levels = items, rows, shape, levels
        self._mirror, self._skip_bad = mirror, skip_bad
        self._said: set[int] = set()

    def __len__(self) -> int:
        return len(self._rows) * (2 if self._mirror else 1)

    def batch(self, indices: np.ndarray) -> Batch:
        places = indices % len(self._rows)
        rows = self._rows[places].astype(np.int64)
        images = np.empty((len(indices), *self._shape), np.uint8 if self._levels == 256 else np.int32)
        for number, content in enumerate(self._items.read(rows)):
            try:
                images[number] = self._decoded(int(rows[number]), content)
            except DataError as error:
                rows[number], images[number] = self._next(int(places[number]), error)
        if self._mirror:
            mirrored = indices >= len(self._rows)
            images[mirrored] = images[mirrored][..., ::-1]
        label = torch.from_numpy(self._items.labels(rows)) if self.label_names else None
        return Batch(torch.from_numpy(images), Condition(label=label))

    def _decoded(self, row: int, content: bytes) -> Integer[np.ndarray, "channels height width"]:
        channels, height, width = self._shape
        return read_image(self._items.name(row), (height, width), channels=channels, levels=self._levels, content=content)

    def _next(self, place: int, error: DataError) -> tuple[int, Integer[np.ndarray, "channels height width"]]:
        """The first good picture after a bad one, with its number.

        Raises:
            DataError: if bad ones are not skipped, or there are many in a row.
        """
        if not self._skip_bad:
            raise DataError(f"{str(error).rstrip('.')}. Replace or remove it, or skip such pictures with --skip-bad.") from error
        if place not in self._said:
            self._said.add(place)
            _log.warning("Skipped: %s", error)
        for step in range(1, min(_MOST_IN_A_ROW, len(self._rows))):
            row = int(self._rows[(place + step) % len(self._rows)])
            try:
                return row, self._decoded(row, self._items.read(np.array([row]))[0])
            except DataError as later:
                error = later
        raise DataError(f"{_MOST_IN_A_ROW} pictures in a row cannot be decoded. The last one: {error} Replace or remove them.")


def _words(found: FoundShards, label_names: tuple[str, ...], config: ImageShardsConfig) -> tuple[str, ...]:
    """What was found, logged and for the report."""
    counts = f"{len(found.train):,} pictures in shards to train on, {len(found.held_out):,} held out."
    colours = "grey" if config.channels == 1 else "RGB"
    classes = f"{len(label_names)} classes" if label_names else "no classes"
    shape = f"{config.shape[1]} x {config.shape[2]} pixels, {colours}, {config.levels:,} levels, {classes}."
    said = tuple(words for words in (found.words, counts, shape) if words)
    for words in said:
        _log.info("%s", words)
    return said


def _dataset(found: FoundShards, side: str, label_names: tuple[str, ...], config: ImageShardsConfig) -> ShardedImages:
    rows: Any = getattr(found, side)
    mirror = config.mirror and side == "train"
    facts = [found.items.digest(rows, with_labels=bool(label_names)), label_names, config.shape, config.levels, mirror]
    name = f"{content_name('image-shards', facts)}-{side.replace('_', '-')}"
    settings = {"label_names": label_names, "levels": config.levels, "mirror": mirror, "skip_bad": config.skip_bad}
    return ShardedImages(found.items, rows, config.shape, name=name, **settings)
