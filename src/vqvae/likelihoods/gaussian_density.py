"""A Gaussian density over floats: for data without levels."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vqvae.config import check_at_least, settings
from vqvae.errors import ConfigError
from vqvae.likelihoods.base import Expecting, Likelihood
from vqvae.likelihoods.levels import check_agreement, check_parameters, check_temperature, sum_where
from vqvae.signals import Signal

_PACE = 10.0
_QUIETEST, _LOUDEST = -14.0, 14.0
"""Bounds of the logarithm of the scale, so that both the scale and its square fit in float32."""


@settings
class GaussianDensityConfig:
    """A Gaussian around the decoder's output, as a density."""

    channels: int
    """Channels of the data."""
    scale: float | None = None
    """Standard deviation, in the data's unit. Default: learned, one per channel."""
    low: float | None = None
    """The smallest value of the data, or None. The decoder's -1 and 1 stand for ``low`` and ``high``."""
    high: float | None = None
    """The largest value of the data, or None."""
    centre: tuple[float, ...] = ()
    """The value of the decoder's 0, one number per channel. With ``unit``, it replaces the bounds."""
    unit: tuple[float, ...] = ()
    """The distance from the centre to the value of the decoder's 1, one number per channel. A learned standard deviation starts here."""

    def build(self) -> "GaussianDensity":
        return GaussianDensity(self)


class GaussianDensity(Likelihood, Expecting):
    """N(x; mean, scale²) of every value; the mean is the decoder's output, in the data's unit if there are no bounds.

    Floats have no bits of their own: −log₂ of a density depends on the unit of the data and may be negative. Such bits only
    compare models of the same data in the same unit.

    Bounds do not change probabilities. The Gaussian's mass beyond the bounds is lost, so the density of data is slightly lower than it
    could be.
    """

    takes_masks = True

    def __init__(self, config: GaussianDensityConfig) -> None:
        super().__init__()
        check_at_least(1, config, "channels")
        if config.scale is not None and not 0 < config.scale < math.inf:
            raise ConfigError(f"GaussianDensityConfig.scale is {config.scale}; it must be a positive number, or None to learn it.")
        if (
            len(config.centre) != len(config.unit)
            or len(config.unit) not in (0, config.channels)
            or not all(one > 0 for one in config.unit)
        ):
            raise ConfigError(
                f"GaussianDensityConfig.centre has {len(config.centre)} numbers and unit {len(config.unit)}; give both {config.channels}, "
                "one per channel, with units above 0, or give neither."
            )
        self.config = config
        self.channels, self.low, self.high = config.channels, config.low, config.high
        # As in Gaussian: Adam moves a weight by about its learning rate per step, whatever its unit.
        self.steps_of_scale = nn.Parameter(torch.zeros(config.channels)) if config.scale is None else None
        self._signal = Signal(axes=(), channels=config.channels, low=config.low, high=config.high)

    @property
    def num_parameters(self) -> int:
        """One mean per channel."""
        return self.channels

    @property
    def log_scale(self) -> Float[Tensor, " channels"]:
        """log of the standard deviation, float32."""
        if self.steps_of_scale is None:
            assert self.config.scale is not None
            return torch.full((self.channels,), math.log(self.config.scale), dtype=torch.float32)
        scale = (_PACE * self.steps_of_scale.float()).clamp(_QUIETEST, _LOUDEST)
        return scale + torch.tensor(self.config.unit, dtype=torch.float32, device=scale.device).log() if self.config.unit else scale

    def log_prob(
        self, parameters: Float[Tensor, "batch channels *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """log N(x; mean, scale²), in nats per example. Positions where ``mask`` is False do not count.

        Raises:
            DataError: if data, parameters or mask have the wrong type, shape or range.
        """
        self.signal(tuple(f"axis {number}" for number in range(x.ndim - 2))).check(x)
        expected = self._signal_mean(parameters)
        check_agreement(expected, x, mask)
        log_scale = _as_channels(self.log_scale.to(expected), expected)
        each = -0.5 * ((x.to(expected.dtype) - expected) / log_scale.exp()).square() - log_scale - 0.5 * math.log(2 * math.pi)
        return sum_where(each, mask)

    def sample(
        self, parameters: Float[Tensor, "batch channels *space"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Float[Tensor, "batch channels *space"]:
        """Draw data, within the bounds if there are any. ``temperature`` multiplies the scale."""
        expected = self._signal_mean(parameters)
        noise = torch.randn(expected.shape, generator=generator, device=expected.device, dtype=expected.dtype)
        drawn = expected + _as_channels(self.log_scale.to(expected).exp(), expected) * check_temperature(temperature) * noise
        return drawn if self.low is None else drawn.clamp(self.low, self.high)

    def mode(self, parameters: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """The mean, within the bounds if there are any."""
        return self._signal.from_unit(self.mean(parameters))

    def mean(self, parameters: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """The parameters themselves. With a unit, the values that they stand for, from -1 to 1 between the bounds."""
        mean = check_parameters(parameters, self.num_parameters)
        if not self.config.unit:
            return mean
        centre, unit = (_as_channels(torch.tensor(one).to(mean), mean) for one in (self.config.centre, self.config.unit))
        return self._signal.to_unit(centre + unit * mean)

    def _signal_mean(self, parameters: Tensor) -> Tensor:
        """The mean in the data's unit, not clipped to the bounds."""
        mean = self.mean(parameters)
        if self.low is None or self.high is None:
            return mean
        return (self.low + self.high) / 2 + (self.high - self.low) / 2 * mean


def _as_channels(values: Tensor, like: Tensor) -> Tensor:
    """A tensor (channels,), shaped to broadcast over (batch, channels, *space)."""
    return values.view(-1, *[1] * (like.ndim - 2))
