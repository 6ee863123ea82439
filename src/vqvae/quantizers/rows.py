"""Latents (batch, dim, *space) to one row per position, and back. Codebooks see neither space nor masks."""

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from vqvae import distributed
from vqvae.quantizers.base import Quantized


def to_rows(latents: Shaped[Tensor, "batch dim *space"], mask: Bool[Tensor, "batch *space"] | None) -> Float[Tensor, "rows dim"]:
    """The unmasked latents, one row each, in float32."""
    rows = latents.movedim(1, -1).reshape(-1, latents.shape[1]).float()
    return rows if mask is None else rows[mask.reshape(-1)]


def from_rows(
    latents: Shaped[Tensor, "batch dim *space"],
    mask: Bool[Tensor, "batch *space"] | None,
    codes: Int[Tensor, "rows codebooks"],
    vectors: Float[Tensor, "rows dim"],
    loss: Float[Tensor, ""],
) -> Quantized:
    """Results for the rows of ``latents``, back in their shape and dtype. Where the mask is False, codes are 0 and vectors zero."""
    batch, _, *space = latents.shape
    if mask is not None:
        valid = mask.reshape(-1)
        every, every_code = vectors.new_zeros(len(valid), vectors.shape[1]), codes.new_zeros(len(valid), codes.shape[1])
        every[valid], every_code[valid] = vectors, codes
        vectors, codes = every, every_code
    shaped = vectors.view(batch, *space, vectors.shape[1]).movedim(-1, 1).to(latents.dtype)
    return Quantized(shaped, codes.view(batch, *space, codes.shape[1]).movedim(-1, 1).contiguous(), loss)


def count_entries(rows: Float[Tensor, "rows dim"], mask: Tensor | None) -> Float[Tensor, ""] | float:
    """The count by which this rank averages its loss, so that the mean over ranks is the mean over all unmasked entries."""
    if mask is None or not distributed.is_active():
        # Exported code counts with a tensor, so that it takes any size.
        return torch.ones_like(rows).sum().clamp(min=1) if torch.compiler.is_exporting() else float(max(rows.numel(), 1))
    total = distributed.sum_(rows.new_tensor(float(rows.numel())))
    return total.clamp(min=1) / distributed.world_size()
