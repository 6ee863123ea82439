"""A discretised mixture of logistics: [Salimans et al. 2017, §2.1, §2.2], https://arxiv.org/abs/1701.05517."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor
from torch.nn.functional import softplus

from vqvae.config import check_at_least, settings
from vqvae.layers.derivatives import first_only
from vqvae.likelihoods.base import BinnedLikelihood, Expecting
from vqvae.likelihoods.levels import LEVELS, check_pair, check_parameters, check_temperature, refuse_mask, to_bins, to_levels, to_raw

_BOUND = 7.0
_FARTHEST = 1e4
_CACHED = 2**18


@settings
class LogisticMixtureConfig:
    """A mixture of logistic distributions per pixel, discretised to levels."""

    channels: int = 3
    """Channels of the image. With 3 channels, green depends on red, and blue on both."""
    mixtures: int = 10
    """Components of the mixture."""
    levels: int = LEVELS
    """Levels per channel: 256 for uint8, 65,536 for 16 bits."""

    def build(self) -> "LogisticMixture":
        return LogisticMixture(self)


class LogisticMixture(BinnedLikelihood, Expecting):
    """Every pixel picks one of ``mixtures`` components for all its channels. A level's probability is the component's mass
    within half a level of it; the first and the last level get the tails.

    The decoder's outputs are, in this order: ``mixtures`` logits; as many means per channel (-1 is black, 1 is white); as many
    logarithms of scales per channel (in the same unit), clamped to ±7; and, with 3 channels, three rows of coefficients. The tanh of a
    coefficient is the slope of green's mean in red, of blue's in red, or of blue's in green. With any other number of channels there are
    no coefficients: given the component, channels are independent.

    Differs from PixelCNN++: the mass of a bin is σ(b) σ(-a) (1 - exp(a - b)) instead of σ(b) - σ(a). The number is the same, but its
    logarithm neither cancels nor underflows, so no density is needed as a fallback.
    """

    def __init__(self, config: LogisticMixtureConfig) -> None:
        super().__init__()
        check_at_least(1, config, "channels", "mixtures")
        check_at_least(2, config, "levels")
        self.config = config
        self.channels, self.mixtures, self.levels = config.channels, config.mixtures, config.levels

    @property
    def num_parameters(self) -> int:
        """Per component one logit, a mean and a scale per channel and, with 3 channels, 3 coefficients."""
        return self.mixtures * (1 + 2 * self.channels + _num_coefficients(self.channels))

    def log_prob(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(x | parameters) in nats per example, with finite gradients for any finite parameters.

        Raises:
            DataError: if pixels or parameters have the wrong type or shape, or a mask is given.
        """
        refuse_mask(mask)
        parameters, x = check_pair(parameters, x, self.num_parameters, self.channels, self.config.levels)
        return logistic_mixture_log_prob(parameters, x, self.mixtures, self.config.levels)

    def sample(
        self, parameters: Float[Tensor, "batch parameters *space"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Shaped[Tensor, "batch channels *space"]:
        """Draw pixels, red first. ``temperature`` divides the logits and multiplies the scales; 0 gives the mode."""
        if check_temperature(temperature) == 0:
            return self.mode(parameters)
        parts = self._parts(parameters)
        share = (parts.logits / temperature).softmax(1).movedim(1, -1)
        drawn = torch.multinomial(share.reshape(-1, self.mixtures), 1, generator=generator)
        chosen = drawn.view(len(share), 1, 1, *share.shape[1:-1])
        means, log_scales, coefficients = (
            part.take_along_dim(chosen, 2).squeeze(2) for part in (parts.means, parts.log_scales, parts.coefficients)
        )
        uniform = torch.rand(means.shape, generator=generator, device=means.device, dtype=means.dtype)
        noise = torch.logit(uniform) * log_scales.exp() * temperature
        levels: list[Tensor] = []
        for channel in range(self.channels):
            mean = _mean(means, coefficients, channel, [_to_unit(level, self.config.levels) for level in levels])
            levels.append(to_levels(mean + noise[:, channel], self.config.levels))
        return torch.stack(levels, 1)

    def mode(self, parameters: Float[Tensor, "batch parameters *space"]) -> Shaped[Tensor, "batch channels *space"]:
        """The mean of the mixture, rounded: the picture with the least squared error."""
        return to_levels(self.mean(parameters), self.config.levels)

    def mean(self, parameters: Float[Tensor, "batch parameters *space"]) -> Float[Tensor, "batch channels *space"]:
        """The mean of the mixture, from -1 to 1.

        A component's mean is that of its logistic clipped to black and white. A channel that depends on others uses their
        means.
        """
        parts = self._parts(parameters)
        share, scales = parts.logits.softmax(1), parts.log_scales.exp()
        inside: list[Tensor] = []
        for channel in range(self.channels):
            mean, scale = _mean(parts.means, parts.coefficients, channel, inside), scales[:, channel]
            # The integral of the survival function from black to white.
            inside.append(scale * (softplus((mean + 1) / scale) - softplus((mean - 1) / scale)) - 1)
        return torch.stack([(share * mean).sum(1) for mean in inside], 1)

    def discretise(self, x: Tensor) -> Int64[Tensor, "batch channels *space"]:
        """The levels."""
        return to_bins(x, self.channels, self.config.levels)

    def restore(self, bins: Int64[Tensor, "*any"]) -> Shaped[Tensor, "*any"]:
        """The levels as pixels."""
        return to_raw(bins, self.config.levels)

    def _parts(self, parameters: Tensor) -> "_Parts":
        return _split(check_parameters(parameters, self.num_parameters), self.channels, self.mixtures)


class _Parts(NamedTuple):
    logits: Tensor
    """(batch, mixtures, *space)"""
    means: Tensor
    """(batch, channels, mixtures, *space), from -1 to 1"""
    log_scales: Tensor
    """Like the means; clamped to their bounds."""
    coefficients: Tensor
    """(batch, 3 or 0, mixtures, *space), from -1 to 1"""


class _LogMass(NamedTuple):
    log_prob: Tensor
    """(batch,)"""
    slope: Tensor | None
    """d log p / d parameters, (batch, parameters, *space)."""


class _LogProb(torch.autograd.Function):
    """Value and derivatives are computed together. Only derivatives are saved, not the dozen intermediate tensors."""

    @staticmethod
    def forward(ctx: Any, parameters: Tensor, x: Tensor, mixtures: int, levels: int) -> Tensor:
        mass = _log_mass(parameters, x, mixtures, levels, with_slope=True)
        ctx.save_for_backward(mass.slope)
        return mass.log_prob

    @staticmethod
    @first_only
    # pyrefly: ignore[bad-override]  # torch declares *grad_outputs, but its documentation names them.
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * grad.view(-1, *[1] * (slope.ndim - 1)), None, None, None


def logistic_mixture_log_prob(
    parameters: Float[Tensor, "batch parameters *space"], bins: Shaped[Tensor, "batch channels *space"], mixtures: int, levels: int
) -> Float[Tensor, " batch"]:
    """log p(bins | parameters) in nats per example, for bins 0 to ``levels`` - 1, spaced evenly on [-1, 1] including both ends.

    The parameters are those of ``LogisticMixture``, in float32 at least. Nothing is checked.
    """
    if torch.is_grad_enabled() and parameters.requires_grad:
        return _LogProb.apply(parameters, bins, mixtures, levels)
    return _log_mass(parameters, bins, mixtures, levels, with_slope=False).log_prob


def _log_mass(parameters: Tensor, x: Tensor, mixtures: int, levels: int, *, with_slope: bool) -> _LogMass:
    """A few positions at a time on a CPU, so that intermediate tensors stay in cache."""
    batch, positions, channels = len(x), math.prod(x.shape[2:]), x.shape[1]
    flat, pixels = parameters.reshape(batch, parameters.shape[1], positions), x.reshape(batch, channels, positions)
    few = max(batch * positions, 1)
    if x.device.type == "cpu":
        few = max(1, _CACHED // (channels * mixtures))
    wide = max(1, min(few, positions))
    log_prob = parameters.new_zeros(batch)
    slope = torch.empty_like(flat) if with_slope else None
    for row in range(0, batch, max(1, few // wide)):
        rows = slice(row, row + max(1, few // wide))
        for column in range(0, positions, wide):
            columns = slice(column, column + wide)
            part = _log_mass_of_some(flat[rows, :, columns], pixels[rows, :, columns], mixtures, levels, with_slope=with_slope)
            log_prob[rows] += part.log_prob
            if slope is not None and part.slope is not None:
                slope[rows, :, columns] = part.slope
    return _LogMass(log_prob, None if slope is None else slope.view(parameters.shape))


def _log_mass_of_some(parameters: Tensor, x: Tensor, mixtures: int, levels: int, *, with_slope: bool) -> _LogMass:
    """With a bin's ends a and b in scales from the mean, log(σ(b) - σ(a)) = log(1 - exp(a - b)) - softplus(a) - softplus(-b).

    The first level has no a and the last no b: their terms are masked by weights of 0 and 1.
    """
    channels = x.shape[1]
    parts = _split(parameters.contiguous(), channels, mixtures)
    unit = _to_unit(x.to(parameters.dtype), levels).unsqueeze(2)
    has_lower, has_upper = (unit > -1).to(unit.dtype), (unit < 1).to(unit.dtype)
    has_both = has_lower * has_upper
    means = [_mean(parts.means, parts.coefficients, channel, unit.unbind(1)) for channel in range(channels)]
    per_scale = (-parts.log_scales).exp()
    centre = unit.sub(torch.stack(means, 1)).mul_(per_scale)
    half = per_scale / (levels - 1)
    lower, upper = centre - half, centre + half
    mass_of_width = torch.expm1(-2 * half).neg_()
    log_mass = mass_of_width.log().mul_(has_both).sub_(softplus(lower).mul_(has_lower)).sub_(softplus(-upper).mul_(has_upper))
    joint = log_mass.sum(1).add_(parts.logits)
    total = joint.logsumexp(1)
    log_prob = (total - parts.logits.logsumexp(1)).sum(1)
    if not with_slope:
        return _LogMass(log_prob, None)

    responsibility = joint.sub_(total.unsqueeze(1)).exp_()
    down, up = torch.sigmoid(lower).mul_(has_lower), torch.sigmoid(-upper).mul_(has_upper)
    # width / (exp(width) - 1)
    narrowing = (1 - mass_of_width).div_(mass_of_width).mul_(2 * half).mul_(has_both)
    weight = responsibility.unsqueeze(1)
    d_means = (down - up).mul_(per_scale).mul_(weight)
    is_held = (parts.log_scales.abs() >= _BOUND).to(unit.dtype)
    d_log_scales = lower.mul_(down).sub_(upper.mul_(up)).sub_(narrowing).mul_(weight).mul_(1 - is_held)
    slopes = [responsibility - parts.logits.softmax(1), d_means.flatten(1, 2), d_log_scales.flatten(1, 2)]
    if _num_coefficients(channels):
        red, green, _ = unit.unbind(1)
        moved = torch.stack([d_means[:, 1] * red, d_means[:, 2] * red, d_means[:, 2] * green], 1)
        slopes.append(moved.mul_(1 - parts.coefficients.square()).flatten(1, 2))
    return _LogMass(log_prob, torch.cat(slopes, 1))


def _split(parameters: Tensor, channels: int, mixtures: int) -> _Parts:
    rows = parameters.unflatten(1, (-1, mixtures))
    logits, means, log_scales, coefficients = rows.split([1, channels, channels, _num_coefficients(channels)], 1)
    # Farther out, values would overflow; the slope stays constant.
    means = means.clamp(-_FARTHEST, _FARTHEST)
    return _Parts(logits.squeeze(1), means, log_scales.clamp(-_BOUND, _BOUND), coefficients.tanh())


def _num_coefficients(channels: int) -> int:
    return 3 if channels == 3 else 0


def _mean(means: Tensor, coefficients: Tensor, channel: int, before: Sequence[Tensor]) -> Tensor:
    """The means of a channel, given the channels before it, from -1 to 1."""
    mean = means[:, channel]
    if channel == 0 or coefficients.shape[1] == 0:
        return mean
    green_in_red, blue_in_red, blue_in_green = coefficients.unbind(1)
    return mean + (green_in_red * before[0] if channel == 1 else blue_in_red * before[0] + blue_in_green * before[1])


def _to_unit(x: Tensor, levels: int) -> Tensor:
    """Levels from 0 up as numbers from -1 to 1."""
    middle = (levels - 1) / 2
    return (x - middle) / middle
