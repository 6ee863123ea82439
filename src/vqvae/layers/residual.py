"""The residual block of [VQVAE §4.1]."""

from jaxtyping import Float
from torch import Tensor, nn


class ResidualBlock2d(nn.Module):
    """x + conv1×1(ReLU(conv3×3(ReLU(x))))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(width, hidden, 3, padding=1)
        self.narrow = nn.Conv2d(hidden, width, 1)

    def forward(self, x: Float[Tensor, "batch width height columns"]) -> Float[Tensor, "batch width height columns"]:
        """Keep the shape."""
        return x + self.narrow(self.wide(x.relu()).relu())
