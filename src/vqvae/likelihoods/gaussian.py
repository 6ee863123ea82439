"""A Gaussian discretised to levels; a learned scale as in sigma-VAE, https://arxiv.org/abs/2006.13202."""

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn

from vqvae.config import check_at_least, settings
from vqvae.errors import ConfigError
from vqvae.layers.derivatives import first_only
from vqvae.likelihoods.base import BinnedLikelihood, Expecting
from vqvae.likelihoods.levels import LEVELS, check_pair, check_parameters, check_temperature, refuse_mask, to_bins, to_levels, to_raw

# A learned scale starts at the standard deviation of raw images, which suits an untrained decoder.
_START = 0.25
_PACE = 10.0
# Within these bounds a distance over a scale is at most 1e9, and its square fits in float32.
_FARTHEST = 1e6
_SMALLEST, _LARGEST = 1e-3, 1e6
# Values at a time on a CPU: half a megabyte in float32. ``_log_mass_of_some`` holds about ten tensors of that size at once.
_CACHED = 2**17
_LOG_SQRT_TAU = 0.5 * math.log(2 * math.pi)


@settings
class GaussianConfig:
    """A Gaussian around the decoder's output."""

    channels: int = 3
    """Channels of the image."""
    scale: float | None = None
    """Standard deviation in pixel levels (black is 0, white 255); default: learned, one per channel."""
    levels: int = LEVELS
    """Levels per channel: 256 for uint8, 65,536 for 16 bits."""

    def build(self) -> "Gaussian":
        return Gaussian(self)


class Gaussian(BinnedLikelihood, Expecting):
    """The decoder's output is the mean: 0 is mid-grey, -1 black, 1 white. A level's probability is the Gaussian's mass
    within half a level of it; the first and the last level get the tails. With a fixed scale this is the paper's mean
    squared error, weighted by 1 / (2 scale²), whose value counts real bits.

    A learned scale learns this weight [Rybkin et al. 2021, §4.1]. Differs from that paper: there is one scale per channel instead of
    one in all, and the density is discretised to levels, so that it stays bounded if a reconstruction is exact.
    """

    is_plain = True

    def __init__(self, config: GaussianConfig) -> None:
        super().__init__()
        check_at_least(1, config, "channels")
        check_at_least(2, config, "levels")
        if config.scale is not None and not 0 < config.scale < math.inf:
            raise ConfigError(f"GaussianConfig.scale is {config.scale}; it must be a positive number of pixel levels, or None to learn it.")
        self.config = config
        self.channels, self.levels = config.channels, config.levels
        self.middle = (config.levels - 1) / 2
        self.steps_of_scale = nn.Parameter(torch.zeros(config.channels)) if config.scale is None else None
        """log(scale / a quarter of the levels) / 10. Adam moves a weight by about its learning rate per step, whatever the gradient.
        The logarithm itself would need thousands of steps from the spread of raw images (64) to that of good reconstructions (below
        8)."""

    @property
    def num_parameters(self) -> int:
        """One mean per channel."""
        return self.channels

    @property
    def log_scale(self) -> Float[Tensor, " channels"]:
        """log of the standard deviation in pixel levels, float32, clamped between log 1e-3 and log 1e6."""
        if self.steps_of_scale is None:
            assert self.config.scale is not None
            log_scale = torch.full((self.channels,), math.log(self.config.scale), dtype=torch.float32)
        else:
            log_scale = math.log(_START * self.config.levels) + _PACE * self.steps_of_scale.float()
        return log_scale.clamp(math.log(_SMALLEST), math.log(_LARGEST))

    def log_prob(
        self, parameters: Float[Tensor, "batch channels *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(x | parameters) in nats per example, with finite gradients for any finite mean and scale.

        Raises:
            DataError: if pixels or parameters have the wrong type or shape, or a mask is given.
        """
        refuse_mask(mask)
        parameters, x = check_pair(parameters, x, self.num_parameters, self.channels, self.config.levels)
        log_scale = self.log_scale.to(parameters)
        if torch.is_grad_enabled() and (parameters.requires_grad or log_scale.requires_grad):
            return _LogProb.apply(parameters, log_scale, x, self.middle)
        return _log_mass(parameters, log_scale, x, self.middle, with_slope=False, with_scale_slope=False).log_prob

    def sample(
        self, parameters: Float[Tensor, "batch channels *space"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Shaped[Tensor, "batch channels *space"]:
        """Draw pixels. ``temperature`` multiplies the scale."""
        mean = self.mean(parameters)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        scale = _as_channels(self.log_scale.to(mean).exp(), mean) * check_temperature(temperature)
        # In levels, like the scale.
        levels = self.middle + self.middle * mean + scale * noise
        return to_raw(levels.round().clamp(0, self.config.levels - 1).long(), self.config.levels)

    def mode(self, parameters: Float[Tensor, "batch channels *space"]) -> Shaped[Tensor, "batch channels *space"]:
        """The mean, rounded. (An edge level with a wide tail may be more likely, but is not the better picture.)"""
        return to_levels(self.mean(parameters), self.config.levels)

    def mean(self, parameters: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """The parameters themselves."""
        return check_parameters(parameters, self.num_parameters)

    def discretise(self, x: Tensor) -> Int64[Tensor, "batch channels *space"]:
        """The levels."""
        return to_bins(x, self.channels, self.config.levels)

    def restore(self, bins: Int64[Tensor, "*any"]) -> Shaped[Tensor, "*any"]:
        """The levels as pixels."""
        return to_raw(bins, self.config.levels)


class _LogMass(NamedTuple):
    log_prob: Tensor
    """(batch,)"""
    slope: Tensor | None
    """d log p / d parameters, (batch, channels, *space)."""
    scale_slope: Tensor | None
    """d log p / d log scale, summed over space: (batch, channels)."""


class _LogProb(torch.autograd.Function):
    """Value and derivatives share nearly all of their work. Derivatives in closed form are finite where those of the intermediate
    steps would be 0 times infinity."""

    @staticmethod
    def forward(ctx: Any, parameters: Tensor, log_scale: Tensor, x: Tensor, middle: float) -> Tensor:
        mass = _log_mass(parameters, log_scale, x, middle, with_slope=True, with_scale_slope=ctx.needs_input_grad[1])
        # Only the slopes are kept: about ten intermediate tensors of the same size need not live until the backward pass.
        ctx.save_for_backward(mass.slope, mass.scale_slope)
        return mass.log_prob

    @staticmethod
    @first_only
    # pyrefly: ignore[bad-override]  # torch declares *grad_outputs, but its documentation names them.
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        slope, scale_slope = ctx.saved_tensors
        return slope * grad.view(-1, *[1] * (slope.ndim - 1)), None if scale_slope is None else grad @ scale_slope, None, None


def _log_mass(
    parameters: Tensor, log_scale: Tensor, x: Tensor, middle_level: float, *, with_slope: bool, with_scale_slope: bool
) -> _LogMass:
    """A few examples at a time on a CPU, so that intermediate tensors stay in cache."""
    examples = len(x)
    if x.device.type == "cpu":
        examples = max(1, _CACHED * len(x) // max(x.numel(), 1))
    parts = [
        _log_mass_of_some(some, log_scale, pixels, middle_level, with_slope=with_slope, with_scale_slope=with_scale_slope)
        for some, pixels in zip(parameters.split(examples), x.split(examples), strict=True)
    ]
    slopes = torch.cat([part.slope for part in parts if part.slope is not None]) if with_slope else None
    scale_slopes = torch.cat([part.scale_slope for part in parts if part.scale_slope is not None]) if with_scale_slope else None
    return _LogMass(torch.cat([part.log_prob for part in parts]), slopes, scale_slopes)


def _log_mass_of_some(
    parameters: Tensor, log_scale: Tensor, x: Tensor, middle_level: float, *, with_slope: bool, with_scale_slope: bool
) -> _LogMass:
    """The logarithm of the mass between ``near`` and ``far``, the ends of a bin, in standard deviations from the mean.

    The sign of the distance is chosen so that it is at least 0 or, for an edge level, so that ``far`` is infinite. The Mills ratio
    R(t) = (1 - Φ(t)) / φ(t) falls slowly and never underflows. With it, the mass is

        φ(near) (R(near) - R(far) φ(far)/φ(near))    where near >= 0
        1 - φ(near) R(-near) - φ(far) R(far)         where near < 0
        φ(middle) width (1 + (spread² - width²)/24)  where the bin is so narrow that the differences would cancel

    with φ(far)/φ(near) = exp(-spread). Cases are selected by weights of 0 and 1, not by ``where``: on a CPU, a comparison and a
    selection take as long as twenty products.
    """
    width = _as_channels((-log_scale).exp(), parameters)
    width2 = width.square()
    centred = x.to(parameters.dtype).sub_(middle_level)
    # Farther out, squares would overflow; the slope stays constant.
    deviation = torch.sub(centred, parameters, alpha=middle_level).clamp_(-_FARTHEST, _FARTHEST)
    # 1 at the first and the last level, which are a whole level beyond the others, and 0 elsewhere.
    edge = (centred.abs() - (middle_level - 1)).clamp_(min=0)
    # The far end of an edge level always lies outwards. Elsewhere the sign of the deviation makes the distance positive.
    side = centred.sub_(deviation).mul_(edge).add_(deviation).sign_()
    distance = deviation.mul_(side)
    near, far = (distance - 0.5).mul_(width), (distance + 0.5).mul_(width).abs_()
    middle = distance.mul_(width)
    spread = middle * width
    kept = spread.clamp(min=0).neg_().exp_().mul_(edge.neg_().add_(1))
    exponent = near.square().mul_(0.5)
    # The floor of e^-80 avoids denormal numbers, which are slow. It is added to 1.
    bell = exponent.clamp(max=80).neg_().exp_().mul_(math.exp(-_LOG_SQRT_TAU))
    inside = near.sign().neg_().clamp_(min=0)
    # This overwrites ``far``. From here on, use ``kept`` instead: it is 0 if the far end is infinite.
    here, there = _mills(near.abs()), _mills(far).mul_(kept)
    mass = here - there
    mass.lerp_(here.add_(there).mul_(bell).neg_().add_(1), inside)
    share = inside * bell.sub_(1) + 1

    # A difference of ratios loses digits as bins get narrow. The series omits spread⁴ / 1920, which is at most 2e-6 where it is used.
    narrow = (torch.where(width < 0.1, 0.25, -1.0).to(spread.dtype) - spread).sign_().clamp_(min=0).mul_(edge)
    series = spread.square().sub_(width2).mul_(1 / 24).add_(1)
    middle2 = middle.square_()
    # If the mass cancelled to 0, its logarithm and slope would be infinite. The smallest number keeps both finite.
    mass.lerp_(series * width, narrow).clamp_(min=torch.finfo(mass.dtype).tiny)
    exponent.add_(_LOG_SQRT_TAU).mul_(inside.neg_().add_(1)).lerp_(middle2 / 2 + _LOG_SQRT_TAU, narrow)
    log_p = mass.log().sub_(exponent).flatten(1).sum(1)

    slope = scale_slope = None
    if with_slope:
        ratio = share.div_(mass)
        slope = (kept - 1).mul_(ratio).mul_(width).lerp_(spread * (width2 / 12 - 1), narrow).mul_(side.mul_(-middle_level))
        if with_scale_slope:
            wide = near.mul_(1 - kept).addcmul_(kept, width, value=-1).mul_(ratio)
            bent = spread.square_().mul_(-2).add_(width2).div_(series.mul_(12)).add_(middle2).sub_(1)
            scale_slope = wide.lerp_(bent, narrow).flatten(2).sum(2)
    return _LogMass(log_p, slope, scale_slope)


def _mills(t: Tensor) -> Tensor:
    """(1 - Φ(t)) / φ(t) for t >= 0, to 6e-8 relative (3e-7 in float32): a polynomial in (t - 3) / (t + 3) over t + 3.

    torch's erfcx computes the same, but is not vectorized and takes ten times as long.
    """
    share = t.add_(3).reciprocal_()
    y = (share * -6).add_(1)
    first, second, *rest = _mills_coefficients()
    total = (y * first).add_(second)
    for coefficient in rest:
        total = total.mul_(y).add_(coefficient)
    return total.mul_(share)


@functools.cache
def _mills_coefficients() -> tuple[float, ...]:
    """Coefficients of the interpolation at Chebyshev nodes, highest power first."""
    degree = 10
    y = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    t = 3 * (1 + y) / (1 - y)
    ratio = math.sqrt(math.pi / 2) * torch.special.erfcx(torch.from_numpy(t / math.sqrt(2))).numpy()
    series = np.polynomial.chebyshev.chebfit(y, (t + 3) * ratio, degree)
    return tuple(np.polynomial.chebyshev.cheb2poly(series)[::-1].tolist())


def _as_channels(values: Tensor, like: Tensor) -> Tensor:
    """A tensor (channels,), shaped to broadcast over (batch, channels, *space)."""
    return values.view(-1, *[1] * (like.ndim - 2))
