"""Examples of any size to codes. The codes of an example do not depend on the examples beside it, on padding or on pieces."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from vqvae.codes import Codes, latent_mask, space_of
from vqvae.data.base import Batch
from vqvae.models.base import Tokenizer
from vqvae.models.frames import FrameTokenizer
from vqvae.models.invariant import encode_rows, on_threads
from vqvae.models.streaming import encode_sequences
from vqvae.models.tiling import encode_large, is_tiled


def encode_each(model: Tokenizer, examples: Sequence[Tensor]) -> list[Codes]:
    """The codes of each example (channels, *axes), on the CPU, with a batch axis of 1.

    Large pictures are encoded in windows, long sequences in pieces, and clips frame by frame if the model does so.

    Raises:
        ConfigError: if an example is too large to process whole, and the model does not support windows.
        DataError: if the model does not accept an example.
    """
    if isinstance(model, FrameTokenizer):
        return _encode_frames(model, examples)
    tiled = [is_tiled(model, tuple(example.shape[1:])) for example in examples]
    rest = iter(encode_sequences(model, [example for example, large in zip(examples, tiled, strict=True) if not large]))
    return [encode_large(model, example[None]) if large else next(rest) for example, large in zip(examples, tiled, strict=True)]


def encode_masked(model: Tokenizer, batch: Batch) -> Codes:
    """The codes of a batch and their masks, on the CPU; see ``Tokenizer.encode``. Each example is encoded as if it were alone.

    Raises:
        ConfigError, DataError: see ``encode_each``.
    """
    if not len(batch.x):
        return model.encode(batch.to(next(model.parameters()).device)).to("cpu")
    if batch.mask is None:
        return Codes.cat(encode_each(model, [*batch.x]))
    lengths = _lengths(batch.mask) if model.takes_masks else None
    if lengths is None:
        return Codes.cat(_encode_alone(model, batch))
    found = encode_each(model, [row[:, :length] for row, length in zip(batch.x, lengths, strict=True)])
    size, levels, masks = tuple(batch.x.shape[2:]), [], []
    for number, level in enumerate(model.layout):
        codes = found[0][number].new_zeros(len(found), level.num_codebooks, *space_of(size, level.stride, level.lead))
        for row, own in zip(codes, found, strict=True):
            row[:, : own[number].shape[2]] = own[number][0]
        levels.append(codes)
        masks.append(latent_mask(batch.mask, level.stride, level.lead))
    return Codes(levels, masks)


def _lengths(mask: Bool[Tensor, "batch time *axes"]) -> list[int] | None:
    """The length of each example along the first axis; None if a mask covers anything but the end of this axis, or all of an example."""
    there = mask.flatten(2).all(2) if mask.ndim > 2 else mask
    lengths = there.sum(1)
    expected = (torch.arange(there.shape[1], device=mask.device) < lengths[:, None]).view(len(mask), -1, *(1,) * (mask.ndim - 2))
    return lengths.tolist() if torch.equal(expected.expand_as(mask), mask) and bool(lengths.all()) else None


def _encode_alone(model: Tokenizer, batch: Batch) -> list[Codes]:
    """The codes of each example, encoded with its mask."""
    device = next(model.parameters()).device

    def encode(row: int) -> Codes:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return model.encode(batch.take(slice(row, row + 1)).to(device)).to("cpu")

    return on_threads(encode, range(len(batch.x)), device)


def _encode_frames(model: FrameTokenizer, clips: Sequence[Tensor]) -> list[Codes]:
    """The codes of clips, from those of their frames."""
    found = iter(encode_rows(model.model, [frame for clip in clips for frame in clip.unbind(1)]))

    def joined(clip: Tensor) -> Iterator[Tensor]:
        return (next(found).tensor[0] for _ in range(clip.shape[1]))

    return [Codes([torch.stack([*joined(clip)], 1)[None]]) if clip.shape[1] else model.encode(Batch(clip[None])) for clip in clips]
