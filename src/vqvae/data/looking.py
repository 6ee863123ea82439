"""Inspects a folder of images before training, so that the settings fit them."""

import contextlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from vqvae.data.cache import user_path
from vqvae.data.files import find_files
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


def look(path: str) -> Look | None:
    """Inspect a folder of images: the paths of all files, and the contents of some.

    Returns None if the folder is missing, holds no images, or no header in the sample can be read.

    Raises:
        DataError: if there is nothing to train on.
    """
    root = user_path(path)
    files = find_files(root, SUFFIXES) if root.is_dir() else []
    if not files:
        return None
    train, held_out = find_sides(root, files).split(str(root))
    sample = [root / train[row].file for row in np.linspace(0, len(train) - 1, min(len(train), _SAMPLE)).astype(int)]
    headers: dict[Path, Header] = {}
    for file in sample:
        with contextlib.suppress(DataError):  # Bad files are reported when all files are read.
            headers[file] = read_header(file)
    if not headers:
        return None
    colours = [file for file, header in headers.items() if header.channels == 3]
    channels = 1 if all(map(_is_grey, colours[:: max(1, len(colours) // _SAMPLE_OF_COLOURS)])) else 3
    is_deep = any(header.levels == 65_536 for header in headers.values())
    classes = bool(class_names(root, train, held_out, None))
    return Look(len(train), _size([header.size for header in headers.values()]), channels, 65_536 if is_deep else 256, classes)


def _size(sizes: list[tuple[int, int]]) -> int | tuple[int, int]:
    """The size of the images if all share it and it is small. Otherwise, the side of a square."""
    height, width = sizes[0]
    if len(set(sizes)) == 1 and height * width <= _LARGEST**2:
        return height if height == width else (height, width)
    return min(_LARGEST, sorted(map(min, sizes))[len(sizes) // 2])


def _is_grey(file: Path) -> bool:
    """Whether a colour image holds only greys. False if it cannot be decoded."""
    try:
        pixels = read_image(file, _LARGEST)
    except DataError:
        return False
    return bool((pixels == pixels[:1]).all())
