"""Flicker: how much a reconstructed video changes where the original stands still."""

import math

from jaxtyping import Integer
from torch import Tensor

STILL = 2
"""A value stands still if it changes by at most this many levels from a frame to the next."""


class Flicker:
    """The mean change of the reconstruction from a frame to the next, in levels, over all values that stand still in the original.

    0 is best. A reconstruction of each frame by itself flickers, because small changes in a picture change its codes.
    """

    def __init__(self) -> None:
        self._sum, self._count = 0, 0

    def add(self, frames: Integer[Tensor, "time channels height width"], made: Integer[Tensor, "time channels height width"]) -> None:
        """Add consecutive frames and their reconstructions."""
        still = frames.int().diff(dim=0).abs() <= STILL
        self._sum += int((made.int().diff(dim=0).abs() * still).sum())
        self._count += int(still.sum())

    @property
    def mean(self) -> float:
        """The mean change, in levels. NaN if nothing stands still."""
        return self._sum / self._count if self._count else math.nan
