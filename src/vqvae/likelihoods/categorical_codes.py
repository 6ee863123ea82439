"""A categorical likelihood over codes: for a second stage, whose data are the first stage's codes."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from vqvae.codes import check_codes
from vqvae.config import check_at_least, settings
from vqvae.errors import DataError
from vqvae.likelihoods.base import BinnedLikelihood
from vqvae.likelihoods.levels import check_parameters, check_temperature, refuse_mask


@settings
class CategoricalCodesConfig:
    """A separate probability for each of the K codes."""

    codebook_size: int
    """K, codes of each codebook of the first stage."""
    channels: int = 1
    """Codebooks of the first stage."""

    def build(self) -> "CategoricalCodes":
        return CategoricalCodes(self)


class CategoricalCodes(BinnedLikelihood):
    """A softmax over K codes for every codebook at every position; data are integer codes (batch, codebooks, *space)."""

    def __init__(self, config: CategoricalCodesConfig) -> None:
        super().__init__()
        check_at_least(1, config, "codebook_size", "channels")
        self.config = config
        self.channels, self.codebook_size = config.channels, config.codebook_size
        # A signal has at least two levels, even if there is only one code.
        self.levels = max(config.codebook_size, 2)

    @property
    def num_parameters(self) -> int:
        """One logit per code and codebook."""
        return self.channels * self.codebook_size

    def log_prob(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(x | parameters), in nats per example.

        Raises:
            DataError: if codes or parameters have the wrong type, shape or range, or a mask is given.
        """
        refuse_mask(mask)
        codes, logits = self.discretise(x), self._logits(parameters)
        if logits.shape[:-1] != codes.shape:
            raise DataError(
                f"Parameters have the shape {tuple(parameters.shape)}, codes the shape {tuple(x.shape)}; "
                f"expected ({x.shape[0]}, {self.num_parameters}, {', '.join(map(str, x.shape[2:]))})."
            )
        # As rows: needs no copy of a PixelCNN's output.
        nats = torch.nn.functional.cross_entropy(logits.reshape(-1, self.codebook_size), codes.reshape(-1), reduction="none")
        return -nats.view(codes.shape).flatten(1).sum(1)

    def sample(
        self, parameters: Float[Tensor, "batch parameters *space"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Int64[Tensor, "batch channels *space"]:
        """Draw codes. ``temperature`` divides the logits; 0 gives the mode."""
        if check_temperature(temperature) == 0:
            return self.mode(parameters)
        share = (self._logits(parameters) / temperature).softmax(-1)
        drawn = torch.multinomial(share.reshape(-1, self.codebook_size), 1, generator=generator)
        return drawn.view(share.shape[:-1])

    def mode(self, parameters: Float[Tensor, "batch parameters *space"]) -> Int64[Tensor, "batch channels *space"]:
        """The most likely code."""
        return self._logits(parameters).argmax(-1)

    def discretise(self, x: Tensor) -> Int64[Tensor, "batch channels *space"]:
        """Codes as bins: the codes themselves.

        Raises:
            DataError: if codes are not integers, have another number of codebooks, or are out of range.
        """
        x = check_codes(x, self.channels, self.codebook_size, "likelihood")
        return x.long()

    def restore(self, bins: Int64[Tensor, "*any"]) -> Int64[Tensor, "*any"]:
        """Bins as codes: the bins themselves."""
        return bins

    def _logits(self, parameters: Tensor) -> Float[Tensor, "batch channels *space codes"]:
        parameters = check_parameters(parameters, self.num_parameters)
        return parameters.unflatten(1, (self.channels, self.codebook_size)).movedim(2, -1)
