"""The distance of pixels, and of any other data with channels: for decoders trained without a likelihood, or with one."""

from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from vqvae.config import check_at_least, settings
from vqvae.likelihoods.base import Expecting
from vqvae.likelihoods.distance import Distance
from vqvae.likelihoods.levels import LEVELS, check_agreement, check_parameters, sum_where
from vqvae.signals import Signal


@settings
class PixelDistanceConfig:
    """Mean absolute or squared difference, with data from -1 to 1."""

    channels: int = 3
    """Channels of the data."""
    power: Literal[1, 2] = 1
    """1: the absolute difference; 2: its square."""
    levels: int | None = LEVELS
    """Levels per channel: 256 for uint8; None for floats."""

    def build(self) -> "PixelDistance":
        return PixelDistance(self)


class PixelDistance(Distance, Expecting):
    """``loss`` is the distance of the decoder's output from the data, value by value, with data scaled to -1 to 1."""

    takes_masks = True

    is_plain = True

    def __init__(self, config: PixelDistanceConfig) -> None:
        super().__init__()
        check_at_least(1, config, "channels")
        check_at_least(2, config, "levels")
        self.config = config
        self.channels, self.levels = config.channels, config.levels
        self._signal = Signal(axes=(), channels=config.channels, levels=config.levels)

    @property
    def num_parameters(self) -> int:
        """One parameter per value of the data."""
        return self.channels

    def loss(
        self, parameters: Float[Tensor, "batch channels *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """The sum of the distances of an example's values. Positions where ``mask`` is False do not count.

        Raises:
            DataError: if data, parameters or mask have the wrong type or shape.
        """
        self.signal(tuple(f"axis {number}" for number in range(x.ndim - 2))).check(x)
        made = self.mean(parameters)
        check_agreement(made, x, mask)
        apart = (made - self._signal.to_unit(x)).abs()
        return sum_where(apart if self.config.power == 1 else apart.square(), mask)

    def mode(self, parameters: Float[Tensor, "batch channels *space"]) -> Tensor:
        """The decoder's output as raw data."""
        return self._signal.from_unit(self.mean(parameters))

    def mean(self, parameters: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """The parameters themselves."""
        return check_parameters(parameters, self.num_parameters)
