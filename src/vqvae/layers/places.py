"""The embedding of a position by its row and column."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

FREQUENCIES = 7
"""Sines of a row number, and as many of a column number: of the number itself, a half of it, a quarter, ... a 64th."""


class Places(nn.Module):
    """A projection of sines of the row and the column. It does not depend on the size of the map, so maps may have any size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Linear(4 * FREQUENCIES, channels, bias=False).weight

    def forward(self, space: tuple[int, ...]) -> Float[Tensor, "height width channels"]:
        """The embedding of each position of a map, in the dtype of the weights even under autocast."""
        weight = self.weight
        with torch.autocast(weight.device.type, enabled=False):
            slowness = 2.0 ** torch.arange(FREQUENCIES, device=weight.device, dtype=weight.dtype)
            rows, columns = (torch.arange(length, device=weight.device, dtype=weight.dtype)[:, None] / slowness for length in space)
            down, across = (
                torch.cat([angles.sin(), angles.cos()], 1) @ part.t()
                for angles, part in zip((rows, columns), weight.chunk(2, 1), strict=True)
            )
            return down[:, None] + across
