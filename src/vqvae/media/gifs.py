"""Animated GIF files, by Pillow."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import GifImagePlugin, Image

from vqvae.errors import DataError
from vqvae.media.pictures import MOST_PIXELS

_UNIT = 10
"""The unit of time in a GIF, in milliseconds."""
_LARGEST = 65_535
"""The largest number in a GIF: pixels, or hundredths of a second."""
_AT_ONCE, _USUAL = 10, 100
"""Browsers show a frame of at most 10 ms for 100 ms."""


def shown_times(file: IO[bytes], path: Path) -> tuple[float, list[int]]:
    """Frames per second of a GIF, and for how many frames it shows each picture. Equal neighbours are often stored as one picture.

    Raises:
        DataError: if the file is damaged, its frames are too large, or the time between them changes.
    """
    times = []
    for picture in gif_pictures(file, path):
        time = picture.info.get("duration", 0)
        times.append(float(time) if time > _AT_ONCE else float(_USUAL))
    counts = np.rint(np.array(times) / min(times))
    mean = sum(times) / counts.sum()
    # Times are rounded to the unit.
    off = np.abs(np.array(times) / counts - mean) > max(_UNIT, 0.3 * mean)
    if off.any():
        one, other = min(times), times[int(off.argmax())]
        raise DataError(
            f"{path} changes its frame rate: a frame is shown for {one:g} ms, another for {other:g} ms. Convert it to a constant rate."
        )
    return 1000 / mean, counts.astype(int).tolist()


def gif_pictures(file: IO[bytes], path: Path) -> Iterator[Image.Image]:
    """The pictures of a GIF, complete: RGB, or RGBA if they are transparent.

    Raises:
        DataError: if the file is damaged, or its frames are too large.
    """
    file.seek(0)
    try:
        image = GifImagePlugin.GifImageFile(file)
        if image.width * image.height > MOST_PIXELS:
            size = f"{image.width} x {image.height} pixels"
            raise DataError(f"{path} has frames of {size}, and at most {MOST_PIXELS:,} pixels are read. Make it smaller.")
        for number in range(image.n_frames):
            image.seek(number)
            yield image.convert("RGBA" if image.has_transparency_data else "RGB")
    except DataError:
        raise
    except Exception as error:  # Damage raises many kinds of errors.
        raise DataError(f"{path} cannot be decoded: it is damaged, cut short, or no GIF file.") from error


def write_gif(path: Path, pictures: Sequence[Image.Image], frame_rate: float) -> None:
    """Write a GIF that repeats for ever.

    Raises:
        DataError: if the format cannot hold such large pictures, or so long a time between them.
    """
    width, height = pictures[0].size
    if max(width, height, 100 / frame_rate + 1) > _LARGEST:
        raise DataError(
            f"{width} x {height} pixels, {frame_rate:g} per second, cannot be written as a GIF: it holds at most {_LARGEST:,} pixels "
            f"a side and {_LARGEST / 100:g} s per frame. Choose another format."
        )
    # In hundredths of a second. The ends are rounded, not the lengths, so errors do not add up.
    ends = [round(100 * (number + 1) / frame_rate) for number in range(len(pictures))]
    durations = [_UNIT * max(2, end - start) for start, end in zip([0, *ends], ends, strict=False)]
    first, *rest = pictures
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)
