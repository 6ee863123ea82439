"""Inspects images in a folder or in shards before training, so that the settings fit them."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from vqvae.data.cache import user_path
from vqvae.data.files import find_files
from vqvae.data.records.found import SHARDS, find_shards
from vqvae.data.shard_sides import FoundShards, open_shards
from vqvae.data.sides import class_names, find_sides
from vqvae.errors import DataError
from vqvae.media.images import SUFFIXES, read_image
from vqvae.media.pictures import Header, read_header

_SAMPLE, _SAMPLE_OF_COLOURS = 500, 32
"""Number of files whose headers are read, and approximate number that are decoded to check whether colour images are grey."""
_LARGEST = 64
"""Height and width, in pixels, to which larger images are reduced. Two cores train on images of this size in an hour."""


class Look(NamedTuple):
    """What a folder of images holds."""

    count: int
    """Images to train on."""
    size: int | tuple[int, int]
    """Height and width that fit the images, in pixels; one number for squares."""
    channels: Literal[1, 3]
    """1 if the images are grey, otherwise 3."""
    levels: Literal[256, 65_536]
    """65,536 if any image has 16 bits per channel, otherwise 256."""
    classes: bool
    """Whether the sub-folders are classes."""


class _Sampled(NamedTuple):
    """One image of a sample."""

    name: Path
    """Its file, or a name for messages."""
    content: Callable[[], bytes | None]
    """Reads its bytes, if it lies in another file."""


def look(path: str) -> Look | None:
    """Inspect a folder of images: the paths of all files, and the contents of some.

    Returns None if the folder is missing, holds no images, or no header in the sample can be read. Also None if it has as many shards as
    images: then it is a folder of shards.

    Raises:
        DataError: if there is nothing to train on.
    """
    root = user_path(path)
    files = find_files(root, SUFFIXES) if root.is_dir() else []
    if not files or len(find_files(root, SHARDS)) >= len(files):
        return None
    train, held_out = find_sides(root, files).split(str(root))
    sample = [_Sampled(root / train[row].file, lambda: None) for row in _spread(len(train))]
    return _fitting(len(train), sample, bool(class_names(root, train, held_out, None)))


def look_in_shards(path: str, *, column: str | None = None, label_column: str | None = None, cache: str | None = None) -> Look | None:
    """Inspect pictures in shards: index all of them, and decode some.

    Args:
        path: a folder, a file, or a pattern of file names; see ``ImageShardsConfig``.
        column: the column of tables with the pictures.
        label_column: the column of tables with the classes.
        cache: the folder for the index.

    Returns None if there are no shards, or no header in the sample can be read.

    Raises:
        ConfigError: if a column is missing, or several could have the pictures.
        DataError: if there is nothing to train on, or a file is damaged.
    """
    if find_shards(user_path(path)) is None:
        return None
    found = open_shards(path, SUFFIXES, column=column, label_column=label_column, cache=cache)
    rows = found.train[_spread(len(found.train))].tolist()
    sample = [_Sampled(Path(found.items.name(row)), functools.partial(_content, found, row)) for row in rows]
    return _fitting(len(found.train), sample, bool(found.classes(None)))


def _content(found: FoundShards, row: int) -> bytes:
    return found.items.read(np.array([row]))[0]


def _spread(count: int) -> np.ndarray:
    return np.linspace(0, count - 1, min(count, _SAMPLE)).astype(int)


def _fitting(count: int, sample: Sequence[_Sampled], classes: bool) -> Look | None:
    headers: list[tuple[_Sampled, Header]] = []
    for one in sample:
        with contextlib.suppress(DataError):  # Bad files are reported when all files are read.
            headers.append((one, read_header(one.name, one.content())))
    if not headers:
        return None
    colours = [one for one, header in headers if header.channels == 3]
    channels = 1 if all(map(_is_grey, colours[:: max(1, len(colours) // _SAMPLE_OF_COLOURS)])) else 3
    is_deep = any(header.levels == 65_536 for _, header in headers)
    return Look(count, _size([header.size for _, header in headers]), channels, 65_536 if is_deep else 256, classes)


def _size(sizes: list[tuple[int, int]]) -> int | tuple[int, int]:
    """The size of the images if all share it and it is small. Otherwise, the side of a square."""
    height, width = sizes[0]
    if len(set(sizes)) == 1 and height * width <= _LARGEST**2:
        return height if height == width else (height, width)
    return min(_LARGEST, sorted(map(min, sizes))[len(sizes) // 2])


def _is_grey(one: _Sampled) -> bool:
    """Whether a colour image holds only greys. False if it cannot be decoded."""
    try:
        pixels = read_image(one.name, _LARGEST, content=one.content())
    except DataError:
        return False
    return bool((pixels == pixels[:1]).all())
