"""From the features of a position to the logits of its codes, and from codes to embeddings: shared by networks over codes."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn import functional as F


class CodesOutput(nn.Module):
    """The output layers of a network over codes.

    features ─ linear ─ + earlier codes of the position ─ ReLU ─ linear ─ logits

    The codes of one position are modelled as in NADE [AISTATS 2011]: each adds a vector to the hidden units of those after it,
    which makes the factorisation exact at the cost of one look-up per code.
    """

    num_codebooks: int
    codebook_size: int
    output: nn.Linear
    earlier: nn.Parameter | None
    """What a code contributes to later codes at its position; the last code has no later ones."""
    logits_weight: nn.Parameter
    logits_bias: nn.Parameter

    def _make_output(self, features: int, hidden: int) -> None:
        """Create the layers: the number of features, and of hidden units per codebook."""
        books, size = self.num_codebooks, self.codebook_size
        self.output = nn.Linear(features, books * hidden)
        self.earlier = nn.Parameter(torch.randn(books - 1, size, hidden).div_(books**0.5)) if books > 1 else None
        self.logits_weight = nn.Parameter(torch.empty(books, hidden, size).uniform_(-1, 1).div_(hidden**0.5))
        self.logits_bias = nn.Parameter(torch.zeros(books, size))

    def _told(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch *space codebooks output"] | None:
        """What the earlier codes of a position add to the hidden units of each of its codes. None if there is one code per position."""
        if self.earlier is None:
            return None
        told = torch.stack([F.embedding(codes[:, i], table) for i, table in enumerate(self.earlier)], dim=-2)
        return F.pad(told.cumsum(-2), (0, 0, 1, 0))

    def _logits(self, hidden: Float[Tensor, "batch *space codebooks output"], book: int) -> Float[Tensor, "positions codebook_size"]:
        """The logits of the codes of one codebook at all positions, in float32 even under autocast."""
        return self._logits_of(hidden[..., book, :].flatten(0, -2), book)

    def _logits_of(self, hidden: Float[Tensor, "positions output"], book: int) -> Float[Tensor, "positions codebook_size"]:
        """The logits of the codes of one codebook from its hidden units."""
        logits = hidden.relu() @ self.logits_weight[book]
        with torch.autocast(hidden.device.type, enabled=False):
            return logits.to(torch.promote_types(logits.dtype, torch.float32)) + self.logits_bias[book]

    def _log_probs_of(
        self,
        hidden: Float[Tensor, "batch *space codebooks output"],
        codes: Integer[Tensor, "batch codebooks *space"],
    ) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code given the codes before it, in nats."""
        nats = [
            F.cross_entropy(self._logits(hidden, book), of.flatten(), reduction="none").view(of.shape)
            for book, of in enumerate(codes.unbind(1))
        ]
        return -torch.stack(nats, 1)


def embed_codes(
    codes: Integer[Tensor, "batch codebooks *space"], table: Float[Tensor, "codebooks codebook_size channels"]
) -> Float[Tensor, "batch *space channels"]:
    """The sum of the embeddings of each position's codes."""
    books, size, _ = table.shape
    offset = torch.arange(books, device=codes.device).view(-1, *[1] * (codes.ndim - 2)) * size
    return F.embedding(codes + offset, table.flatten(0, 1)).sum(1)
