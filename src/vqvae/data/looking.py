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
"""Files whose headers are read, and files that are decoded to see whether their colours are greys."""
_LARGEST = 64
"""Height and width of larger images. Two cores train that in an hour."""


class Look(NamedTuple):
    """What a folder of images holds."""

    count: int
    """Images to train on."""
    size: int | tuple[int, int]
    """Height and width that fit the images, in pixels; one number for squares."""
    channels: Literal[1, 3]
    """1 if the images are grey."""
    levels: Literal[256, 65_536]
    """65,536 if there are images of 16 bits per channel."""
    classes: bool
    """Whether the sub-folders are classes."""


def look(path: str) -> Look | None:
    """Inspect a folder of images: the paths of all files, and the contents of some. None if the folder is missing or holds no images.

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
    """The images' own size if all have the same and it is small; otherwise squares."""
    height, width = sizes[0]
    if len(set(sizes)) == 1 and height * width <= _LARGEST**2:
        return height if height == width else (height, width)
    return min(_LARGEST, sorted(map(min, sizes))[len(sizes) // 2])


def _is_grey(file: Path) -> bool:
    """Whether the colours of an image are greys."""
    try:
        pixels = read_image(file, _LARGEST)
    except DataError:
        return False
    return bool((pixels == pixels[:1]).all())
