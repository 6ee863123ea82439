"""Jitter of vectors over time, a regulariser of codes: Chorowski et al. 2019, https://arxiv.org/abs/1901.08810, section II-C."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def jitter(
    vectors: Float[Tensor, "batch dim *space"], probability: float, mask: Bool[Tensor, "batch *space"] | None = None
) -> Float[Tensor, "batch dim *space"]:
    """Replace the vector of each position by that of its left or right neighbour on the last axis, each with half the probability.

    A vector without that neighbour (at an end, or if ``mask`` is False there) stays. Gradients flow to the vectors used.
    Random numbers come from torch's own generator.
    """
    if probability == 0 or vectors.ndim < 3:
        return vectors
    places = torch.arange(vectors.shape[-1], device=vectors.device)
    chance = torch.rand(len(vectors), *vectors.shape[2:], dtype=torch.float32, device=vectors.device)
    taken = places + (chance < probability).int() - 2 * (chance < probability / 2).int()
    taken = taken.clamp(0, max(vectors.shape[-1] - 1, 0))
    if mask is not None:
        taken = torch.where(mask.gather(-1, taken), taken, places)
    return vectors.gather(-1, taken.unsqueeze(1).expand_as(vectors))
