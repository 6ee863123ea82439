"""Grids of images, as uint8 arrays (height, width, 3), with 2 white pixels between images. A single channel is shown as grey. int32 images
have 65,536 levels, of which the high byte is shown."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Integer, UInt8
from PIL import Image
from torch import Tensor

from vqvae.errors import DataError

GAP = 2
_MARGIN = 12
"""Pixels around the names of rows, on both sides together."""
_WHITE = 255


def grid(images: Integer[Tensor, "count channels height width"], columns: int) -> UInt8[np.ndarray, "rows_height columns_width 3"]:
    """Images in rows of ``columns``, in reading order.

    Raises:
        DataError: if there are no images, or they have neither 1 nor 3 channels.
    """
    images = as_bytes(images)
    count, _, height, width = images.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    framed = torch.nn.functional.pad(_filled(images, rows * columns), (0, GAP, 0, GAP), value=_WHITE)
    tiles = framed.expand(-1, 3, -1, -1).unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2)
    return tiles.reshape(rows * (height + GAP), columns * (width + GAP), 3)[:-GAP, :-GAP].contiguous().cpu().numpy()


def pair_grid(
    above: Integer[Tensor, "count channels height width"], below: Integer[Tensor, "count channels height width"], columns: int
) -> UInt8[np.ndarray, "rows_height columns_width 3"]:
    """Images in rows of ``columns``. Below each row of ``above`` is the same row of ``below``.

    Raises:
        DataError: if there are no images, or they have neither 1 nor 3 channels.
    """
    above, below = as_bytes(above), as_bytes(below)
    columns = min(columns, len(above))
    pairs = zip(above.split(columns), below.split(columns), strict=True)
    return grid(torch.cat([_filled(row, columns) for pair in pairs for row in pair]), columns)


def labelled_rows(rows: Mapping[str, Integer[Tensor, "_ _ height width"]], zoom: int = 1) -> UInt8[np.ndarray, "_ _ 3"]:
    """Rows of images of one size, with the name of each row on the left. Images are enlarged by ``zoom``; names are not.

    Raises:
        DataError: if there are no images, or they have neither 1 nor 3 channels.
    """
    from PIL import ImageDraw, ImageFont  # Slow to import, and only needed here.

    if not rows:
        raise DataError("There are no rows of images. Give at least one.")
    strips = {name: grid(_enlarged(images, zoom), len(images)) for name, images in rows.items()}
    font = ImageFont.load_default(12)
    margin = _MARGIN + max(int(np.ceil(font.getlength(name))) for name in rows)
    height = max(len(strip) for strip in strips.values())
    width = margin + max(strip.shape[1] for strip in strips.values())
    canvas = Image.new("RGB", (width, len(rows) * (height + GAP) - GAP), (_WHITE,) * 3)
    draw = ImageDraw.Draw(canvas)
    for number, (name, strip) in enumerate(strips.items()):
        top = number * (height + GAP)
        draw.text((_MARGIN // 2, top + height // 2), name, fill=(0, 0, 0), font=font, anchor="lm")
        canvas.paste(Image.fromarray(strip), (margin, top))
    return np.array(canvas)


def _enlarged(images: Tensor, zoom: int) -> Tensor:
    return images.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3)


def _filled(images: Tensor, count: int) -> Tensor:
    """``count`` images, with white ones at the end."""
    return torch.cat([images, images.new_full((count - len(images), *images.shape[1:]), _WHITE)])


def as_bytes(images: Tensor) -> Tensor:
    """Images with 256 levels.

    Raises:
        DataError: if there are no images, or they have neither 1 nor 3 channels.
    """
    if len(images) == 0 or images.shape[1] not in (1, 3):
        raise DataError(
            f"The images have shape {tuple(images.shape)}; expected (n, channels, height, width) with 1 or 3 channels and n ≥ 1."
        )
    return (images >> 8).to(torch.uint8) if images.dtype == torch.int32 else images
