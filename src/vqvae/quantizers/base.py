"""The interface between latents and codes."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class Quantized(NamedTuple):
    """What a quantizer makes of latents."""

    vectors: Float[Tensor, "batch dim *space"]
    """z_q, the codes' vectors; their gradient is passed on to the latents."""
    codes: Int[Tensor, "batch codebooks *space"]
    """z, always with the codebook axis."""
    loss: Float[Tensor, ""]
    """Codebook term (where the codebook learns by gradient) plus commitment term, averaged over positions and channels."""


class Quantizer(nn.Module, ABC):
    """Latents (batch, dim, *space) to codes and back. 1-d, 2-d and 3-d space, and none at all, are treated alike.

    Training statistics move only in ``forward`` in training mode with gradients enabled. The recomputation of an
    activation checkpoint (``use_reentrant=False``) counts nothing.
    """

    dim: int
    num_codebooks: int
    codebook_size: int
    codebook: Float[Tensor, "codebooks codebook_size part"]
    """e, one (codebook_size, dim / num_codebooks) matrix a codebook, float32 always."""
    started: Bool[Tensor, ""]
    """Whether the codebooks have been started (from data, or because they start random)."""

    @abstractmethod
    def forward(
        self,
        latents: Float[Tensor, "batch dim *space"],
        mask: Bool[Tensor, "batch *space"] | None = None,
        rate: Float[Tensor, "codebooks codebook_size"] | None = None,
    ) -> Quantized:
        """Quantize. Positions where ``mask`` is False count nowhere; their codes are 0 and their vectors zero.

        ``rate`` in nats is added to the squared distances before the nearest code is chosen, as in entropy-constrained
        vector quantization.

        Raises:
            DataError: wrong number of channels, or latents that are not finite (nothing is changed then).
        """

    @abstractmethod
    def decode(self, codes: Int[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """The vectors of given codes: ``decode(q.codes) == q.vectors``.

        Raises:
            DataError: a wrong number of codebooks, or a code outside [0, codebook_size).
        """

    @abstractmethod
    def start(self, latents: Float[Tensor, "rows dim"]) -> None:
        """Start the codebooks by k-means over these latents (those of all ranks together)."""

    @abstractmethod
    def accumulate(self) -> AbstractContextManager[None]:
        """Statistics gathered inside are applied once, at the end: one update for several micro-batches."""
