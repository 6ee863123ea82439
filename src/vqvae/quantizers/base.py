"""The interfaces between latents and codes: what every quantizer has, and what codebooks add."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from vqvae.errors import DataError
from vqvae.exact import is_traced

LARGEST = 1e15
"""The largest latent. Sums of squares of larger ones overflow float32, and then distances mean nothing."""


class Quantized(NamedTuple):
    """What a quantizer makes of latents."""

    vectors: Float[Tensor, "batch dim *space"]
    """z_q, the codes' vectors; their gradient is passed on to the latents."""
    codes: Integer[Tensor, "batch codebooks *space"]
    """z, always with the codebook axis."""
    loss: Float[Tensor, ""]
    """What the quantizer adds to the objective, averaged over positions and channels: with codebooks the commitment term, and the
    codebook term where it learns by gradient."""


class Quantizer(nn.Module, ABC):
    """Latents (batch, dim, *space) to codes and back. 1-d, 2-d and 3-d space, and none at all, are treated alike."""

    dim: int
    num_codebooks: int
    codebook_size: int

    def forward(
        self,
        latents: Any,
        mask: Any = None,
        *,
        channels_last: bool = False,
        **choice: Any,
    ) -> Quantized:
        """Quantize. Positions where ``mask`` is False count nowhere; their codes are 0 and their vectors zero.

        Args:
            latents: floats (batch, dim, *space), or (batch, *space, dim) where ``channels_last`` is True.
            mask: bool (batch, *space), which positions are data; everything where it is left out.
            channels_last: whether the channels of latents and vectors are their last axis. Codes keep their layout.
            choice: what a kind of quantizer takes beside, such as the ``costs`` of codes.

        Raises:
            DataError: latents, a mask or costs of another shape or type, or latents that are not finite or beyond 1e15 (nothing is
                changed then).
        """
        for name, value in (("Latents", latents), ("The mask", mask)):
            if not isinstance(value, Tensor) and not (value is None and name == "The mask"):
                raise DataError(f"{name} came as {type(value).__name__}; a tensor is expected. Make one with torch.as_tensor.")
        if not latents.is_floating_point() or latents.ndim < 2:
            raise DataError(
                f"Latents came as {latents.dtype} {tuple(latents.shape)}; floats are expected, with a batch and {self.dim} channels."
            )
        turned = latents.movedim(-1, 1) if channels_last else latents
        positions = (turned.shape[0], *turned.shape[2:])
        if mask is not None and (mask.dtype != torch.bool or tuple(mask.shape) != positions):
            raise DataError(
                f"The mask came as {mask.dtype} {tuple(mask.shape)}; torch.bool {positions} is expected, True where there is data."
            )
        if choice.get("costs") is not None:
            check_costs(choice["costs"], self.num_codebooks, self.codebook_size)
        found = self.quantize(turned, mask, **choice)
        if not channels_last:
            return found
        return found._replace(vectors=found.vectors.movedim(1, -1))

    def decode(self, codes: Integer[Tensor, "batch codebooks *space"], *, channels_last: bool = False) -> Float[Tensor, "batch *axes"]:
        """The vectors of given codes: ``decode(q.codes) == q.vectors``.

        Raises:
            DataError: a wrong number of codebooks, or a code outside [0, codebook_size).
        """
        vectors = self.dequantize(codes)
        return vectors.movedim(1, -1) if channels_last else vectors

    @abstractmethod
    def quantize(self, latents: Float[Tensor, "batch dim *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> Quantized:
        """``forward`` for latents whose channels come second."""

    @abstractmethod
    def dequantize(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """``decode`` to vectors whose channels come second."""


class CodebookQuantizer(Quantizer):
    """A quantizer whose codes are rows of codebooks that learn.

    Training statistics move only in ``forward`` in training mode with gradients enabled. Inside an activation checkpoint each
    batch counts once: in the forward pass, or with ``use_reentrant=True``, which runs that without gradients, in its recomputation.
    """

    codebook: Float[Tensor, "codebooks codebook_size part"]
    """e, a matrix a codebook, float32 always; a row has as many channels as its codebook looks at."""
    started: Bool[Tensor, ""]
    """Whether the codebooks have been started (from data, or because they start random)."""

    @abstractmethod
    def quantize(
        self,
        latents: Float[Tensor, "batch dim *space"],
        mask: Bool[Tensor, "batch *space"] | None = None,
        costs: Float[Tensor, "codebooks codebook_size"] | None = None,
    ) -> Quantized:
        """``forward`` for latents whose channels come second.

        Args:
            latents: what is quantized.
            mask: which positions are data.
            costs: nats a code, added to its squared distance before the nearest code is chosen, as in entropy-constrained vector
                quantization.
        """

    @property
    def shares_out_channels(self) -> bool:
        """Whether each codebook has channels of its own, so that latents have a distance to every code, whatever other codes are
        chosen. Codebooks that work on each other's residuals have not."""
        return self.codebook.shape[2] * self.num_codebooks == self.dim

    @abstractmethod
    def start(self, latents: Float[Tensor, "rows dim"]) -> None:
        """Start the codebooks by k-means over these latents (those of all ranks together)."""

    @abstractmethod
    def accumulate(self) -> AbstractContextManager[None]:
        """Statistics gathered inside are applied once, at the end: one update for several micro-batches."""


def check_latents(latents: Tensor, dim: int) -> None:
    """Raise DataError unless latents are (batch, dim, *space)."""
    if latents.ndim < 2 or latents.shape[1] != dim:
        raise DataError(f"Latents have the shape {tuple(latents.shape)}; this quantizer takes (batch, {dim}, *space), channels second.")


def check_finite(values: Tensor, what: str) -> None:
    """Raise DataError if values are NaN, infinite, or so large that squared distances overflow. Traced code does not check."""
    if is_traced():
        return
    # Detached: an activation checkpoint counts the tensors that are kept for the backward pass.
    bad = int((~(values.detach().abs() <= LARGEST)).sum())
    if bad:
        raise DataError(
            f"{bad} of {values.numel()} entries of the {what} are NaN, infinite or beyond {LARGEST:g}; nothing was changed. "
            "Lower the learning rate, clip gradients, or check the data."
        )


def check_costs(costs: Any, num_codebooks: int, codebook_size: int) -> None:
    """Raise DataError unless costs are floats (num_codebooks, codebook_size)."""
    shape = (num_codebooks, codebook_size)
    if not isinstance(costs, Tensor) or not costs.is_floating_point() or tuple(costs.shape) != shape:
        came = f"{costs.dtype} {tuple(costs.shape)}" if isinstance(costs, Tensor) else type(costs).__name__
        raise DataError(f"The costs came as {came}; a tensor of floats {shape} is expected, in nats.")


def without_casts(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """What ``Module._apply`` does to tensors, except that it only moves them: they stay float32 under ``.half()`` and ``.bfloat16()``."""

    def move(tensor: Tensor) -> Tensor:
        moved = fn(tensor)
        return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

    return move


def outermost(module: nn.Module) -> list[CodebookQuantizer]:
    """The outermost quantizers with codebooks: one that is made of others speaks for them."""
    if isinstance(module, CodebookQuantizer):
        return [module]
    return [quantizer for child in module.children() for quantizer in outermost(child)]
