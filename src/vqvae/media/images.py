"""Reads picture files as arrays, always by the same rule, so that training and use see the same pixels. Writes arrays as PNG files."""

from pathlib import Path

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image

from vqvae.disk import atomic, user_path
from vqvae.errors import CheckpointError, ConfigError, DataError
from vqvae.media.formats import SUFFIXES
from vqvae.media.pictures import MOST_PIXELS, decoding, open_picture, pixels_of, to_eight_bits

__all__ = ["SUFFIXES", "cut", "read_image", "write_png"]


def read_image(
    path: Path | str,
    size: int | tuple[int, int] | None = None,
    *,
    channels: int = 3,
    levels: int = 256,
    bounds: tuple[float, float] | None = None,
    place: tuple[float, float] = (0.5, 0.5),
    content: bytes | None = None,
) -> Integer[np.ndarray, "channels height width"]:
    """Decode one file, upright. Of several pictures in a file, the first is read.

    Args:
        path: a PNG, JPEG, WebP, BMP, TIFF, GIF or AVIF file.
        size: height and width in pixels; one number for a square. If omitted, the picture keeps its size. Otherwise the largest part of
            this shape is cut out and resized.
        channels: 3 for RGB. 1 for greys: colours become their luma (ITU-R BT.601).
        levels: 256 gives uint8. 65,536 gives int32 and keeps what 16-bit files hold. Values are scaled: white is the highest level.
        bounds: the values that become the lowest and the highest level, for files that hold floats or 32-bit integers.
        place: where the part lies that is cut out, down and across: 0 is at the top or left, 1 at the bottom or right. Default: the centre.
        content: the bytes of the file, if it lies in another file. ``path`` is then only a name for messages.

    Raises:
        ConfigError: ``channels`` or ``levels`` is another number, or ``size`` is out of range.
        DataError: if the file cannot be read, is damaged or of another format, holds floats without ``bounds``, or holds colours of more
            than 8 bits that cannot be read, and 65,536 levels were asked for.
    """
    if channels not in (1, 3) or levels not in (256, 65_536):
        raise ConfigError(
            f"A picture was asked for with {channels} channels and {levels} levels; use 1 or 3 channels and 256 or 65536 levels."
        )
    path = user_path(path, DataError) if content is None else path
    if size is None:
        picture = open_picture(path, levels=levels, content=content)
        with decoding(path):
            picture.check_depth(levels)
        return picture.read(None, channels, levels, bounds)
    size = target_size(size)
    picture = open_picture(path, size, levels, content)
    with decoding(path):
        picture.check_depth(levels)
        if levels == 256:
            return pixels_of(cut(to_eight_bits(picture.upright(), channels, bounds), size, place), channels, levels)
        # Pillow resizes floats, but no colours of 16 bits.
        deep = [Image.fromarray(one.astype(np.float32)) for one in picture.read(None, channels, levels, bounds)]
        resized = np.stack([np.asarray(cut(one, size, place)) for one in deep])
        return np.rint(resized).clip(0, levels - 1).astype(np.int32)


def target_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of a picture to make; one number is for squares.

    Raises:
        ConfigError: if one is below 1, or there are more than ``MOST_PIXELS`` pixels.
    """
    height, width = size if isinstance(size, tuple) else (size, size)
    if min(height, width) < 1 or height * width > MOST_PIXELS:
        raise ConfigError(f"size is {size}; height and width must be at least 1, and their product at most {MOST_PIXELS:,}.")
    return height, width


def cut(image: Image.Image, size: tuple[int, int], place: tuple[float, float] = (0.5, 0.5)) -> Image.Image:
    """Resize the largest part with the shape of ``size`` (height, width), antialiased (Lanczos).

    The part is cut by the resize itself, so a long thin picture costs no more than a square one.
    """
    height, width = size
    if image.size == (width, height):
        return image
    scale = min(image.height / height, image.width / width)
    part_height, part_width = max(1, round(scale * height)), max(1, round(scale * width))
    top, left = (int(share * free) for share, free in zip(place, (image.height - part_height, image.width - part_width), strict=True))
    return image.resize((width, height), Image.Resampling.LANCZOS, box=(left, top, left + part_width, top + part_height))


def write_png(path: Path, pixels: UInt8[np.ndarray, "height width 3"]) -> None:
    """Write a picture, whole or not at all. Missing folders are made.

    Raises:
        CheckpointError: if the place cannot be written.
    """
    with atomic(path, CheckpointError) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")
