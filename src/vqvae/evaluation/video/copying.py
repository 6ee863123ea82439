"""The copy prior: what a model of frames saves if it only knows that codes often stay the same."""

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from vqvae.data.base import Condition
from vqvae.errors import DataError
from vqvae.exact import exact
from vqvae.priors import UnigramPrior

_HALVINGS = 60


class CopyPrior:
    """p(frame | the frame before): each code is copied with probability ``share``; otherwise it is drawn from the unigram prior.

    All codes of the first frame are drawn. Call ``count`` on the training codes, then ``fit``.
    """

    def __init__(self, unigram: UnigramPrior) -> None:
        """Start with a share of 0, which is the unigram prior.

        Args:
            unigram: the frequencies of the training codes. It is not changed.
        """
        self.unigram, self.share = unigram, 0.0
        self._same = torch.zeros(unigram.counts.shape, dtype=torch.int64)
        self._changed = 0

    def count(self, codes: Integer[Tensor, "batch codebooks *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> None:
        """Add episodes. Frames where the mask is False do not count.

        Raises:
            DataError: if the codes have no axis of time.
        """
        _check(codes)
        stays = codes[:, :, 1:] == codes[:, :, :-1]
        counted = torch.ones_like(stays) if mask is None else mask[:, None, 1:].expand_as(stays)
        size = self.unigram.codebook_size
        for number, same in enumerate(self._same):
            rows = (stays & counted)[:, number]
            same += torch.bincount(codes[:, number, 1:][rows].cpu(), minlength=size)
        self._changed += int((~stays & counted).sum())

    def fit(self) -> "CopyPrior":
        """Set ``share`` to the value of highest likelihood. One change is added to the counts, so that changes remain possible."""
        drawn = exact(self._shares().cpu())
        same, low, high = exact(self._same), 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            # The log-likelihood is concave, so its slope changes sign once.
            slope = (same * (1 - drawn) / (middle + (1 - middle) * drawn)).sum() - (self._changed + 1) / (1 - middle)
            low, high = (middle, high) if slope > 0 else (low, middle)
        self.share = low
        return self

    def code_log_probs(
        self, codes: Integer[Tensor, "batch codebooks *space"], condition: Condition = Condition()
    ) -> Float[Tensor, "batch codebooks *space"]:
        """The log-probability of each code given the frame before, in nats.

        Raises:
            DataError: if the codes have no axis of time, or are out of range.
        """
        _check(codes)
        drawn = self.unigram.code_log_probs(codes)
        copied = torch.zeros_like(drawn)
        copied[:, :, 1:] = (codes[:, :, 1:] == codes[:, :, :-1]).float() * self.share
        chance = drawn.new_ones(codes.shape[2]) * (1 - self.share)
        chance[:1] = 1
        return (copied + chance.view(-1, *[1] * (codes.ndim - 3)) * drawn.exp()).log()

    def _shares(self) -> Float[Tensor, "codebooks codes"]:
        """The unigram probability of each code."""
        every = torch.arange(self.unigram.codebook_size, device=self.unigram.counts.device)
        return self.unigram.code_log_probs(every.expand(1, len(self._same), -1))[0].exp()


def _check(codes: Tensor) -> None:
    if codes.ndim < 3:
        raise DataError(f"Codes have the shape {tuple(codes.shape)}; a copy prior needs (batch, codebooks, time, *space).")
