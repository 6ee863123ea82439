"""A mixture of logistics over the bins of mu-law audio: [Salimans et al. 2017, §2.1], https://arxiv.org/abs/1701.05517."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from vqvae.config import check_at_least, settings
from vqvae.likelihoods.base import ParametricLikelihood
from vqvae.likelihoods.levels import check_agreement, check_parameters, check_temperature, sum_where
from vqvae.likelihoods.logistic_mixture import logistic_mixture_log_prob
from vqvae.likelihoods.mu_law import check_levels, to_audio, to_bins


@settings
class MuLawMixtureConfig:
    """A mixture of logistic distributions per sample on the mu-law scale, discretised to bins."""

    levels: int = 256
    """Number of bins; 256 for the 8 bits of telephony."""
    mixtures: int = 10
    """Components of the mixture."""

    def build(self) -> "MuLawMixture":
        return MuLawMixture(self)


class MuLawMixture(ParametricLikelihood):
    """A bin's probability is the mixture's mass within half a bin of it, on the companded scale from -1 to 1. The first and the last bin
    get the tails. Unlike ``MuLaw``, the mixture models that neighbouring bins sound alike, and it needs few parameters.

    The decoder's outputs are ``mixtures`` logits, as many means and as many logarithms of scales, in this order. Bits are comparable
    with those of ``MuLaw`` with the same ``levels``.
    """

    takes_masks = True
    channels, low, high = 1, -1.0, 1.0

    def __init__(self, config: MuLawMixtureConfig) -> None:
        super().__init__()
        check_levels(config.levels, "MuLawMixtureConfig")
        check_at_least(1, config, "mixtures")
        self.config = config

    @property
    def num_parameters(self) -> int:
        """One logit, mean and scale per component."""
        return 3 * self.config.mixtures

    def log_prob(
        self, parameters: Float[Tensor, "batch parameters time"], x: Tensor, mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(x | parameters) of the discretised wave, in nats per example. Samples where ``mask`` is False do not count.

        Raises:
            DataError: if audio, parameters or mask have the wrong type, shape or range.
        """
        bins, parameters = self.discretise(x), check_parameters(parameters, self.num_parameters)
        check_agreement(parameters, x, mask)
        # Each sample as a separate example, so that a mask can select samples.
        rows = parameters.movedim(1, -1).reshape(-1, self.num_parameters, 1)
        log_prob = logistic_mixture_log_prob(rows, bins.reshape(-1, 1, 1), self.config.mixtures, self.config.levels)
        return sum_where(log_prob.view(x.shape), mask)

    def logits(self, parameters: Float[Tensor, "batch parameters"]) -> Float[Tensor, "batch bins"]:
        """log p of every bin of one sample of each example, in float32 at least."""
        levels, batch = self.config.levels, len(parameters)
        rows = check_parameters(parameters, self.num_parameters).repeat_interleave(levels, 0).unsqueeze(2)
        bins = torch.arange(levels, device=parameters.device).repeat(batch).view(-1, 1, 1)
        return logistic_mixture_log_prob(rows, bins, self.config.mixtures, levels).view(batch, levels)

    def sample(
        self, parameters: Float[Tensor, "batch parameters time"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Float[Tensor, "batch 1 time"]:
        """Draw a wave. ``temperature`` divides the bins' log probabilities; 0 gives the mode."""
        if check_temperature(temperature) == 0:
            return self.mode(parameters)
        share = (self._logits_of_all(parameters) / temperature).softmax(-1)
        drawn = torch.multinomial(share, 1, generator=generator)
        return self.restore(drawn.view(len(parameters), 1, parameters.shape[2]))

    def mode(self, parameters: Float[Tensor, "batch parameters time"]) -> Float[Tensor, "batch 1 time"]:
        """The most likely bin of each sample."""
        return self.restore(self._logits_of_all(parameters).argmax(1).view(len(parameters), 1, parameters.shape[2]))

    def discretise(self, x: Tensor) -> Int64[Tensor, "batch 1 time"]:
        """Audio as bins; see ``MuLaw.discretise``."""
        return to_bins(x, self.config.levels)

    def restore(self, bins: Int64[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Bins as audio; see ``MuLaw.restore``."""
        return to_audio(bins, self.config.levels)

    @torch.no_grad()
    def _logits_of_all(self, parameters: Float[Tensor, "batch parameters time"]) -> Float[Tensor, "samples bins"]:
        parameters = check_parameters(parameters, self.num_parameters)
        return self.logits(parameters.movedim(1, -1).reshape(-1, self.num_parameters))
