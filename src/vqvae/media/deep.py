"""Colours of 16 bits per channel.

Pillow decodes them to 8 bits: it keeps the high byte of each value. Decoded again in the other byte order, it keeps the low byte. See
docs/decisions/0026-colours-of-16-bits.md.
"""

import re
import sys

import numpy as np
from jaxtyping import Integer
from PIL import Image
from PIL.ImageFile import ImageFile

WHITE = 65_535
_RAW_MODE = re.compile(r"(RGB|RGBA|RGBX|LA);16[BLN]")
"""Pillow's names of such pixels. Premultiplied alpha (RGBa) is missing: Pillow divides by it in 8 bits."""
_OTHER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""Byte orders: big, little, native."""
_GREYS_AND_ALPHA = "LA;16B"
_BRIGHTNESS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey: ITU-R BT.601, as in Pillow."""


def has_deep_colours(image: ImageFile) -> bool:
    """Whether an opened picture that is not decoded yet has colours of 16 bits that can be read."""
    return bool(image.tile) and all(_RAW_MODE.fullmatch(_raw_mode(tile.args)) for tile in image.tile)


def low_bytes(image: ImageFile) -> Image.Image:
    """Decode an opened picture to the low bytes of its values, in the mode in which Pillow gives the high ones."""
    if _raw_mode(image.tile[0].args) == _GREYS_AND_ALPHA:
        image.tile = [tile._replace(args="RGBA") for tile in image.tile]
        image.load()
        _, grey, _, alpha = image.split()
        return Image.merge("RGBA", (grey, grey, grey, alpha))
    image.tile = [tile._replace(args=_swapped(tile.args)) for tile in image.tile]
    image.load()
    return image


def deep_pixels(
    high: Image.Image, low: Image.Image, channels: int, transparency: object = None
) -> Integer[np.ndarray, "channels height width"]:
    """Pixels with 65,536 levels from both bytes, as int32. Transparency is laid over white.

    Args:
        high: the high bytes, RGB or RGBA.
        low: the low bytes.
        channels: 3 for RGB, 1 for greys.
        transparency: the colour that is transparent, of 16 bits per channel, if there is one.
    """
    values = np.asarray(high).astype(np.int32) << 8 | np.asarray(low)
    colours = values[..., :3].astype(np.float64)
    if values.shape[2] == 4:
        alpha = values[..., 3:] / WHITE
        colours = colours * alpha + WHITE * (1 - alpha)
    elif isinstance(transparency, tuple):
        colours[(values == np.array(transparency)).all(2)] = WHITE
    if channels == 1:
        colours = colours @ np.array(_BRIGHTNESS)[:, None]
    return np.ascontiguousarray(np.rint(colours).astype(np.int32).transpose(2, 0, 1))


def _raw_mode(args: object) -> str:
    """How pixels lie in the file. It stands alone or first."""
    return str(args[0] if isinstance(args, tuple) and args else args)


def _swapped(args: object) -> str | tuple:
    """The same with the other byte order."""
    if isinstance(args, tuple):
        return (_swapped(args[0]), *args[1:])
    mode = str(args)
    return mode[:-1] + _OTHER[mode[-1]]
