"""Code usage over a data set."""

import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from vqvae.codes import check_codes, perplexity
from vqvae.exact import exact


class CodebookUsage:
    """How often each code occurs. Perplexity and share cover the whole set, because a batch is too small to use all codes."""

    counts: Int64[Tensor, "codebooks codebook_size"]
    """On the CPU, exact."""

    def __init__(self, num_codebooks: int, codebook_size: int) -> None:
        self.counts = torch.zeros(num_codebooks, codebook_size, dtype=torch.int64)

    def add(self, codes: Integer[Tensor, "batch codebooks *space"]) -> None:
        """Count the codes of a batch.

        Raises:
            DataError: if the number of codebooks is wrong, or a code is not in its codebook.
        """
        books, size = self.counts.shape
        codes = check_codes(codes, books, size, "codebook")
        for row, found in zip(self.counts, codes.unbind(1), strict=True):
            row += torch.bincount(found.reshape(-1), minlength=size).cpu()

    @property
    def perplexity(self) -> float:
        """exp H, the mean over codebooks: the number of evenly used codes with the same entropy."""
        return float(perplexity(self.counts).mean())

    @property
    def codes_used(self) -> float:
        """The share of codes that occur at all, from 0 to 1. It is not perplexity."""
        return float(exact(self.counts > 0).mean())

    @property
    def nats_per_code(self) -> float:
        """H, the mean over codebooks: the lowest nats per code of a prior that knows only the frequencies of this set."""
        return float(exact(perplexity(self.counts)).log().mean())
