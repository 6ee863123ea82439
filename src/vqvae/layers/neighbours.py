"""Embeddings of codes by the company that they keep: what neighbouring codes say about a code before anything is trained."""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Integer
from torch import Tensor

MOST_CODES = 2048
"""With larger codebooks, most pairs of codes never occur in a sample, and the table of pairs takes too long to decompose."""
UNSEEN = 0.1
"""Added to the count of each pair."""


def start_from_neighbours(
    batches: Iterable[Integer[Tensor, "batch codebooks *space"]],
    inputs: Iterable[Float[Tensor, "codebooks codebook_size _"]],
    weight: Float[Tensor, "codebooks hidden codebook_size"],
    bias: Float[Tensor, "codebooks codebook_size"],
) -> None:
    """Set the embeddings of a network over codes, and its last layer.

    Args:
        batches: training codes.
        inputs: the tables of embeddings. Those of all codes of a position are added up.
        weight, bias: the last layer.
    """
    neighbours = Neighbours(*bias.shape)
    for codes in batches:
        neighbours.add(codes)
    for table in inputs:
        neighbours.embed(table, len(bias) ** -0.5)
    neighbours.embed(weight.transpose(1, 2), weight.shape[1] ** -0.5)
    bias.copy_(neighbours.log_frequencies())


class Neighbours:
    """Counts how often two codes of a codebook are neighbours along any axis.

    The embeddings factorise the positive pointwise mutual information of the pairs, as is done for words [Levy & Goldberg 2014]. Codes
    that stand for similar patches have similar neighbours, and so they start with similar embeddings.
    """

    def __init__(self, num_codebooks: int, codebook_size: int) -> None:
        self.num_codebooks, self.codebook_size = num_codebooks, codebook_size
        self.counts = torch.zeros(num_codebooks, codebook_size, dtype=torch.float64)
        self.pairs = torch.zeros(num_codebooks, *(2 * [codebook_size if self.is_feasible else 0]), dtype=torch.float64)

    @property
    def is_feasible(self) -> bool:
        """Whether the codebook is small enough for embeddings."""
        return 1 < self.codebook_size <= MOST_CODES

    def add(self, codes: Integer[Tensor, "batch codebooks *space"]) -> None:
        """Count the codes of a batch."""
        codes, size = codes.long().cpu(), self.codebook_size
        for book, of in enumerate(codes.unbind(1)):
            self.counts[book] += torch.bincount(of.flatten(), minlength=size)
            for axis in range(1, of.ndim if self.is_feasible else 1):
                first, second = of.narrow(axis, 0, of.shape[axis] - 1), of.narrow(axis, 1, of.shape[axis] - 1)
                self.pairs[book] += torch.bincount((first * size + second).flatten(), minlength=size**2).view(size, size)

    def log_frequencies(self) -> Float[Tensor, "codebooks codebook_size"]:
        """The logarithm of each code's frequency, minus its mean."""
        found = (self.counts + 1).log()
        return (found - found.mean(1, keepdim=True)).float()

    def embed(self, tables: Float[Tensor, "codebooks codebook_size channels"], scale: float) -> None:
        """Write embeddings with a root mean square of ``scale`` into tables. Channels beyond what the pairs give stay as they are."""
        if not self.is_feasible:
            return
        for table, pairs in zip(tables, self.pairs, strict=True):
            both = pairs + pairs.t() + UNSEEN
            surprise = (both * both.sum() / both.sum(0) / both.sum(1)[:, None]).log().clamp_min(0)
            left, singular, _ = torch.linalg.svd(surprise)
            kept = min(table.shape[1], len(singular))
            found = left[:, :kept] * singular[:kept].sqrt()
            table[:, :kept] = scale * found / found.square().mean().sqrt().clamp_min(1e-6)
