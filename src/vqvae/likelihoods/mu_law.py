"""Audio companded by the mu-law of ITU-T G.711, with a separate probability for each bin: https://arxiv.org/abs/1609.03499, §2.2."""

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from vqvae.config import settings
from vqvae.errors import ConfigError
from vqvae.likelihoods.base import BinnedLikelihood, Expecting
from vqvae.likelihoods.levels import check_agreement, check_parameters, check_temperature, sum_where
from vqvae.signals import sound


@settings
class MuLawConfig:
    """A separate probability for each bin of mu-law audio."""

    levels: int = 256
    """Number of bins; 256 for the 8 bits of telephony."""

    def build(self) -> "MuLaw":
        return MuLaw(self)


class MuLaw(BinnedLikelihood, Expecting):
    """A softmax over the bins of every sample. Audio is (batch, 1, time), floats in [-1, 1].

    The likelihood is that of the discretised wave. With ``levels`` = 256 it counts the bits per sample of an 8-bit mu-law recording.
    These are not comparable with bits for other ``levels``, or for linear 16-bit audio.
    """

    takes_masks = True
    channels, low, high = 1, -1.0, 1.0

    def __init__(self, config: MuLawConfig) -> None:
        super().__init__()
        check_levels(config.levels, "MuLawConfig")
        self.config = config

    @property
    def num_parameters(self) -> int:
        """One logit per bin."""
        return self.config.levels

    def log_prob(
        self, parameters: Float[Tensor, "batch parameters time"], x: Tensor, mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(x | parameters) of the discretised wave, in nats per example. Samples where ``mask`` is False do not count.

        Raises:
            DataError: if audio, parameters or mask have the wrong type, shape or range.
        """
        bins, logits = self.discretise(x), check_parameters(parameters, self.num_parameters)
        check_agreement(logits, x, mask)
        # As rows: needs no copy if the decoder works with channels last.
        rows = logits.movedim(1, -1).reshape(-1, self.config.levels)
        log_prob = -F.cross_entropy(rows, bins.flatten(), reduction="none").view(x.shape)
        return sum_where(log_prob, mask)

    def sample(
        self, parameters: Float[Tensor, "batch parameters time"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Float[Tensor, "batch 1 time"]:
        """Draw a wave. ``temperature`` divides the logits; 0 gives the mode."""
        if check_temperature(temperature) == 0:
            return self.mode(parameters)
        share = (check_parameters(parameters, self.num_parameters).movedim(1, -1) / temperature).softmax(-1)
        drawn = torch.multinomial(share.reshape(-1, self.config.levels), 1, generator=generator)
        return self.restore(drawn.view(share.shape[:-1]).unsqueeze(1))

    def mode(self, parameters: Float[Tensor, "batch parameters time"]) -> Float[Tensor, "batch 1 time"]:
        """The most likely bin of each sample."""
        return self.restore(check_parameters(parameters, self.num_parameters).argmax(1, keepdim=True))

    def mean(self, parameters: Float[Tensor, "batch parameters time"]) -> Float[Tensor, "batch 1 time"]:
        """The mean of the bins' centres."""
        share = check_parameters(parameters, self.num_parameters).softmax(1)
        middles = self.restore(torch.arange(self.config.levels, device=share.device)).to(share.dtype)
        return (share * middles.view(-1, 1)).sum(1, keepdim=True)

    def discretise(self, x: Tensor) -> Int64[Tensor, "batch 1 time"]:
        """Audio as bins, most negative first.

        Raises:
            DataError: unless audio is finite floats (batch, 1, time) in [-1, 1].
        """
        return to_bins(x, self.config.levels)

    def restore(self, bins: Int64[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Bins as audio: the centre of each, except that the first and the last are -1 and 1."""
        return to_audio(bins, self.config.levels)


def to_bins(x: Tensor, levels: int) -> Int64[Tensor, "batch 1 time"]:
    """Audio to bins: the nearest of ``levels`` that lie evenly on [-1, 1] after sign(x) · ln(1 + μ |x|) / ln(1 + μ), μ = levels - 1.

    Raises:
        DataError: unless audio is finite floats (batch, 1, time) in [-1, 1].
    """
    sound().check(x)
    mu, wide = levels - 1, x.to(torch.promote_types(x.dtype, torch.float32))
    companded = wide.sign() * torch.log1p(mu * wide.abs()) / math.log1p(mu)
    return ((companded + 1) * (mu / 2) + 0.5).floor().clamp(0, mu).long()


def to_audio(bins: Int64[Tensor, "*any"], levels: int) -> Float[Tensor, "*any"]:
    """Bins to audio: the inverse of the companding at the centre of each bin."""
    mu = levels - 1
    companded = bins.float() * (2 / mu) - 1
    # Clamped, because rounding may exceed the range slightly.
    return (companded.sign() * torch.expm1(companded.abs() * math.log1p(mu)) / mu).clamp(-1, 1)


def check_levels(levels: int, owner: str) -> None:
    """Raise ConfigError unless there are from 2 to 65,536 bins: float32 cannot distinguish more than 16 bits."""
    if not 2 <= levels <= 2**16:
        raise ConfigError(f"{owner}.levels is {levels}; it must lie between 2 and 65536.")
