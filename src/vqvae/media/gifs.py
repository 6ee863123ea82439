"""Animated GIF files, by Pillow."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import GifImagePlugin, Image

_UNIT = 10
"""Milliseconds: what a GIF counts time in."""
_AT_ONCE, _USUAL = 10, 100
"""Milliseconds. Browsers show frames of the first for the second."""


def shown_times(file: IO[bytes]) -> tuple[float, list[int]]:
    """Frames per second, and for how many of them each picture of a GIF is shown. Equal neighbours are often stored as one picture.

    Raises:
        ValueError: if the time between frames changes.
    """
    file.seek(0)
    image = GifImagePlugin.GifImageFile(file)
    times = []
    for number in range(image.n_frames):
        image.seek(number)
        time = image.info.get("duration", 0)
        times.append(float(time) if time > _AT_ONCE else float(_USUAL))
    counts = np.rint(np.array(times) / min(times))
    mean = sum(times) / counts.sum()
    # Times are rounded to the unit.
    off = np.abs(np.array(times) / counts - mean) > max(_UNIT, 0.3 * mean)
    if off.any():
        raise ValueError(f"the time between frames changes from {min(times):g} to {times[int(off.argmax())]:g} ms")
    return 1000 / mean, counts.astype(int).tolist()


def gif_pictures(file: IO[bytes]) -> Iterator[Image.Image]:
    """The pictures of a GIF, complete."""
    file.seek(0)
    image = GifImagePlugin.GifImageFile(file)
    for number in range(image.n_frames):
        image.seek(number)
        yield image.convert("RGBA" if image.has_transparency_data else "RGB")


def write_gif(path: Path, pictures: Sequence[Image.Image], frame_rate: float) -> None:
    """Write a GIF that repeats for ever."""
    ends = [round(100 * (number + 1) / frame_rate) for number in range(len(pictures))]  # In hundredths, so that no error adds up.
    durations = [_UNIT * max(2, end - start) for start, end in zip([0, *ends], ends, strict=False)]
    first, *rest = pictures
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)
