"""The interface of every quantizer, and what quantizers with codebooks add to it."""

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
"""The largest latent. Sums of squares of larger ones overflow float32, which makes distances meaningless."""


class Quantized(NamedTuple):
    """A quantizer's output."""

    vectors: Float[Tensor, "batch dim *space"]
    """z_q, the codes' vectors. Their gradient flows to the latents."""
    codes: Integer[Tensor, "batch codebooks *space"]
    """z, always with the codebook axis."""
    loss: Float[Tensor, ""]
    """The quantizer's term of the objective, averaged over positions and channels. With codebooks: the commitment term, plus the
    codebook term if the codebook learns by gradient."""


class Quantizer(nn.Module, ABC):
    """Latents (batch, dim, *space) to codes and back. Space may have any number of axes, or none."""

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
        """Quantize. Positions where ``mask`` is False are ignored: their codes are 0 and their vectors zero.

        Args:
            latents: floats (batch, dim, *space), or (batch, *space, dim) if ``channels_last`` is True.
            mask: bool (batch, *space), True where there is data. Default: everywhere.
            channels_last: whether channels are the last axis of latents and vectors. The layout of codes does not change.
            choice: arguments of the particular quantizer, such as the ``costs`` of codes.

        Raises:
            DataError: if latents, mask or costs have the wrong shape or type, or if latents are not finite or exceed 1e15. Nothing is
                changed then.
        """
        for name, value in (("Latents", latents), ("The mask", mask)):
            if not isinstance(value, Tensor) and not (value is None and name == "The mask"):
                raise DataError(f"{name} must be a tensor, not {type(value).__name__}. Make one with torch.as_tensor.")
        if not latents.is_floating_point() or latents.ndim < 2:
            raise DataError(
                f"Latents are {latents.dtype} {tuple(latents.shape)}; expected floats with a batch axis and {self.dim} channels."
            )
        turned = latents.movedim(-1, 1) if channels_last else latents
        positions = (turned.shape[0], *turned.shape[2:])
        if mask is not None and (mask.dtype != torch.bool or tuple(mask.shape) != positions):
            raise DataError(f"The mask is {mask.dtype} {tuple(mask.shape)}; expected torch.bool {positions}, True where there is data.")
        if choice.get("costs") is not None:
            check_costs(choice["costs"], self.num_codebooks, self.codebook_size)
        found = self.quantize(turned, mask, **choice)
        if not channels_last:
            return found
        return found._replace(vectors=found.vectors.movedim(1, -1))

    def decode(self, codes: Integer[Tensor, "batch codebooks *space"], *, channels_last: bool = False) -> Float[Tensor, "batch *axes"]:
        """The vectors of codes: ``decode(q.codes) == q.vectors``.

        Raises:
            DataError: if the number of codebooks is wrong, or a code lies outside [0, codebook_size).
        """
        vectors = self.dequantize(codes)
        return vectors.movedim(1, -1) if channels_last else vectors

    @abstractmethod
    def quantize(self, latents: Float[Tensor, "batch dim *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> Quantized:
        """``forward`` for latents with channels second."""

    @abstractmethod
    def dequantize(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """``decode`` to vectors with channels second."""


class CodebookQuantizer(Quantizer):
    """A quantizer with learned codebooks: a code is the index of a codebook's row.

    Only ``forward`` in training mode with gradients enabled updates training statistics. Inside an activation checkpoint each batch
    counts once: in the forward pass, or in the recomputation if ``use_reentrant=True`` runs the forward pass without gradients.
    """

    codebook: Float[Tensor, "codebooks codebook_size part"]
    """e, one matrix per codebook, always float32. A row has as many channels as its codebook quantizes."""
    started: Bool[Tensor, ""]
    """Whether the codebooks are initialised, from data or at random."""

    @abstractmethod
    def quantize(
        self,
        latents: Float[Tensor, "batch dim *space"],
        mask: Bool[Tensor, "batch *space"] | None = None,
        costs: Float[Tensor, "codebooks codebook_size"] | None = None,
    ) -> Quantized:
        """``forward`` for latents with channels second.

        Args:
            latents: the latents.
            mask: True where there is data.
            costs: nats per code, added to its squared distance before the nearest code is chosen, as in entropy-constrained vector
            quantization.
        """

    @property
    def shares_out_channels(self) -> bool:
        """Whether each codebook has its own channels. Then distances to one codebook's codes do not depend on the codes chosen from
        the others. False for codebooks that quantize each other's residuals."""
        return self.codebook.shape[2] * self.num_codebooks == self.dim

    @abstractmethod
    def start(self, latents: Float[Tensor, "rows dim"]) -> None:
        """Initialise the codebooks by k-means over these latents, gathered from all ranks."""

    @abstractmethod
    def accumulate(self) -> AbstractContextManager[None]:
        """Gather statistics inside and apply them once at the end: one update for several micro-batches."""


def check_latents(latents: Tensor, dim: int) -> None:
    """Raise DataError unless latents are (batch, dim, *space)."""
    if latents.ndim < 2 or latents.shape[1] != dim:
        raise DataError(f"Latents have the shape {tuple(latents.shape)}; expected (batch, {dim}, *space), with channels second.")


def check_finite(values: Tensor, what: str) -> None:
    """Raise DataError if values are NaN, infinite, or so large that squared distances overflow. Traced code skips the check."""
    if is_traced():
        return
    # Detached: an activation checkpoint counts the tensors saved for the backward pass.
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
        raise DataError(f"The costs are {came}; expected a tensor of floats {shape}, in nats.")


def without_casts(fn: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function for ``Module._apply`` that only moves tensors. They stay float32 under ``.half()`` and ``.bfloat16()``."""

    def move(tensor: Tensor) -> Tensor:
        moved = fn(tensor)
        return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

    return move


def outermost(module: nn.Module) -> list[CodebookQuantizer]:
    """The outermost quantizers with codebooks. A quantizer made of others counts, its parts do not."""
    if isinstance(module, CodebookQuantizer):
        return [module]
    return [quantizer for child in module.children() for quantizer in outermost(child)]
