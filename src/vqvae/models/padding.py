"""Data around its edges: up to whole blocks of the stride, and beyond the end of masked examples."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vqvae.codes import latent_mask
from vqvae.errors import DataError


def pad(x: Tensor, stride: tuple[int, ...], lead: tuple[int, ...] = ()) -> Tensor:
    """Repeat the first entry of each axis of space ``lead`` times, and the last one up to a multiple of the stride.

    Exported code has no padding at the end: its input must have whole blocks.
    """
    for axis, (step, before) in enumerate(zip(stride, lead or (0,) * len(stride), strict=True), start=2):
        after = 0 if torch.compiler.is_exporting() else -(x.shape[axis] + before) % step
        first = x.narrow(axis, 0, 1).repeat_interleave(before, axis)
        last = x.narrow(axis, x.shape[axis] - 1, 1).repeat_interleave(after, axis)
        x = torch.cat([first, x, last], axis) if before or after else x
    return x


def silence(x: Tensor, mask: Bool[Tensor, "batch *positions"], stride: tuple[int, ...], lead: tuple[int, ...] = ()) -> Tensor:
    """Pad each example as if it were alone: repeat its last entry in time up to a multiple of the stride, then add zeros.

    Args:
        x: data (batch, channels, time, *axes).
        mask: see ``times``.
        stride, lead: see ``pad``.
    """
    there = times(mask)
    place = torch.arange(x.shape[2], device=x.device)
    last = (there * place).amax(1, keepdim=True)
    every = (1,) * (x.ndim - 3)
    alone = (x * there.view(len(x), 1, -1, *every)).gather(2, place.minimum(last).view(len(x), 1, -1, *every).expand_as(x))
    padded, kept = pad(alone, stride, lead), latent_mask(there, stride[:1], lead[:1]).repeat_interleave(stride[0], 1)
    return padded * kept.view(len(x), 1, -1, *every)


def times(mask: Bool[Tensor, "batch *positions"]) -> Bool[Tensor, "batch time"]:
    """The mask over the first axis, time.

    Raises:
        DataError: if the mask cuts frames.
    """
    frames = mask.flatten(2) if mask.ndim > 2 else mask.unsqueeze(2)
    if not torch.equal(frames.all(2), frames.any(2)):
        raise DataError("The mask cuts frames; a model of clips takes masks of whole frames.")
    return frames.all(2)


def by_frames(
    cost: Callable[[Tensor, Tensor], Float[Tensor, " rows"]],
    parameters: Float[Tensor, "batch parameters time *axes"],
    x: Tensor,
    mask: Bool[Tensor, "batch time *axes"],
) -> Float[Tensor, " batch"]:
    """The sum of ``cost`` over the frames that have data, for criteria without masks.

    Args:
        cost: takes parameters and data of frames (rows, ..., *axes), and returns one number per frame.
        parameters: the decoder's output.
        x: clips (batch, channels, time, *axes).
        mask: see ``times``.
    """
    there = times(mask)
    rows = cost(*(part.transpose(1, 2)[there] for part in (parameters, x)))
    return rows.new_zeros(there.shape).masked_scatter(there, rows).sum(1)
