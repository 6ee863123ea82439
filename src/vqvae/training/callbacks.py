"""What a run does beside learning, every so many steps: pictures of what the model makes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor, nn

from vqvae.data.base import Dataset
from vqvae.errors import CheckpointError

Pictures = Mapping[str, UInt8[np.ndarray, "height width 3"]]


@runtime_checkable
class Callback(Protocol):
    """Called by the first process after every ``every`` steps and at the end, with the module that is evaluated, in evaluation
    mode and without gradients; ``folder`` is the run's. The pictures that it returns are shown in TensorBoard."""

    every: int

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures: ...


class ReconstructionGrid:
    """Fixed held-out images above their reconstructions, as ``RUN/grids/reconstructions-NNNNNN.png``."""

    def __init__(self, held_out: Dataset, *, every: int, count: int = 16, columns: int = 8) -> None:
        self.every, self.columns = every, columns
        # Spread over the whole set: neighbours are often frames of one scene or pictures of one class.
        count = min(count, len(held_out))
        self.batch = held_out.batch(np.arange(count, dtype=np.int64) * len(held_out) // max(count, 1))

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures:
        if len(self.batch.x) == 0:
            return {}
        device = next(module.parameters()).device
        batch = self.batch.to(device)
        size = batch.x.shape[2:]
        decoded = module.decode(module.encode(batch), batch.condition).cpu()
        pixels = pair_grid(self.batch.x, decoded[:, :, : size[0], : size[1]], self.columns)
        path = folder / "grids" / f"reconstructions-{step:06d}.png"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        except OSError as error:
            raise CheckpointError(f"{path} could not be written ({error}). The last checkpoint is unchanged.") from error
        return {"reconstructions": pixels}


def pair_grid(
    above: UInt8[Tensor, "count channels height width"], below: UInt8[Tensor, "count channels height width"], columns: int
) -> UInt8[np.ndarray, "rows_height columns_width 3"]:
    """Pictures in rows of ``columns``, each row of the first kind followed by the same row of the second, 2 white pixels apart.

    One channel is shown as grey.
    """
    count, _, height, width = above.shape
    columns = min(columns, count)
    rows = 2 * -(-count // columns)
    canvas = torch.full((3, rows * (height + 2) - 2, columns * (width + 2) - 2), 255, dtype=torch.uint8)
    for i in range(count):
        for row, pixels in ((2 * (i // columns), above[i]), (2 * (i // columns) + 1, below[i])):
            top, left = row * (height + 2), (i % columns) * (width + 2)
            canvas[:, top : top + height, left : left + width] = pixels
    return canvas.permute(1, 2, 0).contiguous().numpy()
