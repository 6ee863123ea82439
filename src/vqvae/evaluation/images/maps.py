"""Pictures that show where an image model succeeds and where it fails."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from vqvae.codes import Codes, Level
from vqvae.data.base import Batch
from vqvae.exact import exact
from vqvae.reports.colours import code_colours, heat
from vqvae.reports.grids import labelled_rows

_LEAST, _MOST_BOOKS = 96, 4


def code_maps(batch: Batch, codes: Codes, layout: Sequence[Level]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Images above their codes. Each code has its own colour. Of several codebooks, at most 4 are shown."""
    rows = {"image": batch.x}
    for number, (level, of) in enumerate(zip(codes, layout, strict=True)):
        for book in range(min(of.num_codebooks, _MOST_BOOKS)):
            colours = code_colours(level[:, book].cpu().numpy(), of.codebook_size)
            rows[_named("codes", number, len(layout), book, of.num_codebooks)] = _fitted(colours, batch.x)
    return enlarged(rows)


def surprise_maps(batch: Batch, bits: Sequence[Float[Tensor, "n _ _"]]) -> tuple[UInt8[np.ndarray, "_ _ 3"], float]:
    """Images above heat maps of the cost of their codes, one row per level. Returns the picture, and the cost of the brightest colour.

    Args:
        batch: the images.
        bits: the cost at each position in bits, one tensor per level.
    """
    most = max(float(one.max()) for one in bits)
    rows = {"image": batch.x}
    for number, one in enumerate(bits):
        rows[_named("bits", number, len(bits))] = _fitted(heat(one.numpy() / max(most, 1e-9)), batch.x)
    return enlarged(rows), most


def error_maps(
    images: Integer[Tensor, "n channels height width"], made: Integer[Tensor, "n channels height width"]
) -> tuple[UInt8[np.ndarray, "_ _ 3"], float]:
    """Images, reconstructions, and heat maps of the mean absolute error over channels. Returns the picture, and the error of the brightest
    colour."""
    error = (exact(images) - exact(made)).abs().mean(1).cpu()
    most = float(error.max())
    shown = torch.from_numpy(heat(error.numpy() / max(most, 1e-9))).permute(0, 3, 1, 2)
    return enlarged({"image": images, "decoded": made, "error": shown}), most


def enlarged(rows: dict[str, Tensor]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Labelled rows of images. Small ones are enlarged by a whole factor to about 96 pixels."""
    side = max(next(iter(rows.values())).shape[2:])
    return labelled_rows(rows, zoom=max(1, round(_LEAST / side)))


def _fitted(colours: UInt8[np.ndarray, "n rows columns 3"], images: Tensor) -> UInt8[Tensor, "n 3 height width"]:
    """Maps at the size of the images: each position covers its stride."""
    height, width = images.shape[2:]
    down, across = (-(-size // count) for size, count in zip((height, width), colours.shape[1:3], strict=True))
    large = torch.from_numpy(colours.repeat(down, axis=1).repeat(across, axis=2)).permute(0, 3, 1, 2)
    return large[:, :, :height, :width]


def _named(what: str, level: int, levels: int, book: int = 0, books: int = 1) -> str:
    return what + (f" {level + 1}" if levels > 1 else "") + (f", book {book + 1}" if books > 1 else "")
