"""The empirical unigram prior: the frequency of each code, independent of the other codes."""

from dataclasses import field

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from vqvae.codes import codes_that_count
from vqvae.config import CODEBOOK, check_at_least, settings
from vqvae.data.base import Condition
from vqvae.exact import exact
from vqvae.priors.base import Prior, check_prior_codes


@settings
class UnigramPriorConfig:
    """Every code has its own probability, the same at every position."""

    codebook_size: int = field(metadata=CODEBOOK)
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Codes per position. Each codebook has its own probabilities."""

    def build(self) -> "UnigramPrior":
        return UnigramPrior(self)


class UnigramPrior(Prior):
    """Relative frequencies. Every code gets one more count (Laplace's rule), so that unseen codes remain possible."""

    counts: Tensor

    def __init__(self, config: UnigramPriorConfig) -> None:
        super().__init__()
        check_at_least(1, config, "codebook_size", "num_codebooks")
        self.config = config
        self.num_codebooks, self.codebook_size = config.num_codebooks, config.codebook_size
        self.register_buffer("counts", torch.zeros(config.num_codebooks, config.codebook_size, dtype=torch.int64))

    @torch.no_grad()
    def count(self, codes: Integer[Tensor, "batch codebooks *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> None:
        """Add the unmasked codes of a batch to the counts."""
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        for book, found in zip(self.counts, codes_that_count(codes, mask), strict=True):
            book += torch.bincount(found, minlength=self.codebook_size)

    def log_prob(
        self,
        codes: Integer[Tensor, "batch codebooks *space"],
        condition: Condition = Condition(),
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(codes), in nats per example.

        Raises:
            DataError: if codes have the wrong shape or range.
        """
        each = self.code_log_probs(codes)
        each = each if mask is None else each * mask.unsqueeze(1)
        return each.flatten(1).sum(1)

    @torch.no_grad()
    def code_log_probs(
        self, codes: Integer[Tensor, "batch codebooks *space"], condition: Condition = Condition()
    ) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code, in nats.

        Raises:
            DataError: as ``log_prob``.
        """
        codes = check_prior_codes(codes, self.num_codebooks, self.codebook_size)
        smoothed = exact(self.counts) + 1
        table = (smoothed / smoothed.sum(1, keepdim=True)).log().float().to(self.counts.device)
        return torch.stack([book[found] for book, found in zip(table, codes.unbind(1), strict=True)], dim=1)
