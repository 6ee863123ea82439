"""The residual block of [VQVAE §4.1], over pictures and over time."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock2d(nn.Module):
    """x + conv1×1(ReLU(conv3×3(ReLU(x)))), with a dilation and another kernel that the paper does not have."""

    def __init__(self, width: int, hidden: int, dilation: int = 1, *, kernel: int = 3) -> None:
        super().__init__()
        self.wide = nn.Conv2d(width, hidden, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.narrow = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Float[Tensor, "batch width height columns"]) -> Float[Tensor, "batch width height columns"]:
        """Keep the shape."""
        return x + self.narrow(self.wide(x.relu()).relu())


class ResidualBlock1d(nn.Module):
    """x + conv1(ReLU(conv3(ReLU(x)))) over time, without padding: the output is shorter by one position at each end.

    A network over time is padded once, at its input. Its output at a position then depends only on the surrounding wave and not on where
    the wave was cut: pieces give the same result as the whole.
    """

    reach = 1
    """Number of positions lost at each end."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(width, hidden, 3)
        self.narrow = nn.Conv1d(hidden, width, 1)

    def forward(self, x: Float[Tensor, "batch width time"]) -> Float[Tensor, "batch width shortened"]:
        """Shorten by ``reach`` at each end."""
        return x[..., self.reach : x.shape[2] - self.reach] + self.narrow(self.wide(x.relu()).relu())


class ResidualBlock(nn.Module):
    """The residual block of pictures, over one, two or three axes. It keeps the shape."""

    def __init__(self, axes: int, width: int, hidden: int) -> None:
        super().__init__()
        conv: Any = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[axes]
        self.wide = conv(width, hidden, 3, padding=1)
        self.narrow = conv(hidden, width, 1)

    def forward(self, x: Float[Tensor, "batch width *space"]) -> Float[Tensor, "batch width *space"]:
        """Keep the shape."""
        return x + self.narrow(self.wide(x.relu()).relu())
