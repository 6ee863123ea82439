"""Causal shifts and convolutions over maps (batch, height, width, channels): by padding, never by masked weights.

An ordinary convolution over an input that is padded on one side sees only that side. It computes nothing that is thrown away.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


def shift_down(x: Float[Tensor, "batch height width channels"]) -> Float[Tensor, "batch height width channels"]:
    """Row r becomes row r + 1; the first row is zero, the last one is dropped."""
    return F.pad(x, (0, 0, 0, 0, 1, -1))


def shift_right(x: Float[Tensor, "batch height width channels"]) -> Float[Tensor, "batch height width channels"]:
    """Column c becomes column c + 1; the first column is zero, the last one is dropped."""
    return F.pad(x, (0, 0, 1, -1))


class RowsAbove(nn.Module):
    """A convolution over a position's own row and ``kernel // 2`` rows above it, ``kernel`` columns wide."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, (self.reach + 1, kernel), padding=(0, self.reach))

    def forward(self, x: Float[Tensor, "batch height width inputs"]) -> Float[Tensor, "batch height width outputs"]:
        """Keep height and width."""
        padded = F.pad(x, (0, 0, 0, 0, self.reach, 0))
        return self.conv(padded.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class ColumnsLeft(nn.Module):
    """A convolution within a row, over a position's own column and ``kernel // 2`` columns left of it."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, (1, self.reach + 1))

    def forward(self, x: Float[Tensor, "batch height width inputs"]) -> Float[Tensor, "batch height width outputs"]:
        """Keep height and width."""
        padded = F.pad(x, (0, 0, self.reach, 0))
        return self.conv(padded.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
