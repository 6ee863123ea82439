"""Encode and decode large pictures and volumes in overlapping windows, in constant memory. The result is that of the whole.

All windows of a model have the same shape, whatever the size of the data, so that sums inside its products always run in the same order.
Windows lie on the grid of the stride and overlap by at least the network's ``context``: what it sees around a position.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vqvae.codes import Codes, size_of, space_of
from vqvae.data.base import Condition
from vqvae.errors import ConfigError
from vqvae.models.autoencoder import CodeAutoencoder
from vqvae.models.base import Tokenizer
from vqvae.models.invariant import encode_rows
from vqvae.networks.base import trait
from vqvae.signals import Signal

LARGE = 2**20
"""Examples with more positions than this are processed in windows."""
MOST_WHOLE = 2**22
"""Examples with up to this many positions are processed whole if the model does not support windows."""
_INSIDE = 2**18
"""Number of positions of a window without its overlap: 512 x 512 pixels."""
_GLOBAL = (nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.MultiheadAttention)
_GLOBAL += (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d)

Place = tuple[slice, ...]
"""A part of the axes of space."""


class Window(NamedTuple):
    """One window, in latents."""

    seen: Place
    """The input of the network."""
    wanted: Place
    """The part of its output that is kept. Every latent is kept exactly once."""


def is_tiled(model: Tokenizer, size: tuple[int, ...]) -> bool:
    """Whether data of this size is processed in windows.

    Raises:
        ConfigError: if it is too large to process whole, and the model does not support windows.
    """
    positions = math.prod(size)
    if len(size) < 2 or positions <= LARGE or model.takes_long:
        return False
    reason = _obstacle(model)
    if reason and positions > MOST_WHOLE:
        raise ConfigError(
            f"Data of the size {_words(size)} is too large to process whole, and this model cannot work in pieces: {reason}. "
            f"Make the data smaller ({MOST_WHOLE:,} positions at most), or call the tokenizer's own encode and decode, which hold the "
            "whole in memory."
        )
    return not reason


def encode_tiled(model: Tokenizer, size: tuple[int, ...], read: Callable[[Place], Tensor]) -> Codes:
    """The codes of one example, on the CPU. They equal the codes of the whole.

    Args:
        model: the tokenizer.
        size: the length of each axis of space.
        read: returns a part of the example, (1, channels, *part).

    Raises:
        ConfigError: if the model does not support windows.
        DataError: if the model does not accept the data.
    """
    model = _tileable(model)
    level = model.layout[0]
    space = space_of(size, model.stride, model.lead)
    context = space_of(trait(model.encoder, "context"), model.stride, model.lead)
    codes = torch.empty(1, level.num_codebooks, *space, dtype=torch.int64)
    every = _windows(space, model.stride, context)
    while windows := [*itertools.islice(every, _at_once(model))]:
        parts = [read(_data(window.seen, model, size))[0] for window in windows]
        for window, found in zip(windows, encode_rows(model, parts), strict=True):
            codes[(..., *window.wanted)] = found.tensor[(..., *_inside(window))]
    return Codes([codes])


def decode_tiled(
    model: Tokenizer, codes: Codes, size: tuple[int, ...] | None = None, condition: Condition = Condition()
) -> Iterator[tuple[Place, Tensor]]:
    """Decode the codes of one example to the criterion's mode, part by part, in raster order. Yields the place of each part and the part
    (1, channels, *part), on the CPU.

    Raises:
        ConfigError: if the model does not support windows.
        DataError: if the codes do not fit the model.
    """
    model = _tileable(model)
    space = tuple(codes.tensor.shape[2:])
    size = size or size_of(space, model.stride, model.lead)
    lead = model.lead or (0,) * len(space)
    # The lead of a window is removed, so no window may start with what it keeps.
    context = tuple(max(sight, int(before > 0)) for sight, before in zip(trait(model.decoder, "context"), lead, strict=True))
    for window in _windows(space, model.stride, context):
        seen = codes.tensor[(..., *window.seen)].to(_device(model))
        with torch.no_grad():
            made = model.decode(seen, condition)
        ends = zip(window.wanted, model.stride, lead, size, strict=True)
        place = tuple(slice(max(a.start * n - before, 0), min(a.stop * n - before, end)) for a, n, before, end in ends)
        starts = [a.start * n for a, n in zip(window.seen, model.stride, strict=True)]
        inside = [slice(a.start - start, a.stop - start) for a, start in zip(place, starts, strict=True)]
        yield place, made[(..., *inside)].cpu()


def encode_large(model: Tokenizer, x: Tensor) -> Codes:
    """The codes of large examples (batch, channels, *axes), one by one; see ``encode_tiled``."""
    return Codes.cat(encode_tiled(model, tuple(x.shape[2:]), partial(_part, x, row)) for row in range(len(x)))


def decode_large(model: Tokenizer, codes: Codes, size: tuple[int, ...], label: Tensor | None, signal: Signal) -> Tensor:
    """Decode the codes of large examples, one by one. Memory holds the result once; see ``decode_tiled``."""
    made = torch.empty(len(codes[0]), signal.channels, *size, dtype=signal.dtype)
    for row in range(len(made)):
        rows = slice(row, row + 1)
        condition = Condition(label=None if label is None else label[rows].to(_device(model)))
        for place, part in decode_tiled(model, codes.take(rows), size, condition):
            made[(row, slice(None), *place)] = part[0]
    return made


def decode_bands(model: Tokenizer, codes: Codes, size: tuple[int, int]) -> Iterator[Tensor]:
    """Decode the codes of a picture in bands of rows (1, channels, rows, width), from the top; see ``decode_tiled``."""
    band: list[Tensor] = []
    for (_, across), part in decode_tiled(model, codes, size):
        band.append(part)
        if across.stop == size[1]:
            yield torch.cat(band, -1)
            band = []


def _at_once(model: nn.Module) -> int:
    """Windows to encode at once."""
    return torch.get_num_threads() if _device(model).type == "cpu" else 1


def _part(x: Tensor, row: int, place: Place) -> Tensor:
    return x[(slice(row, row + 1), slice(None), *place)]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _windows(space: tuple[int, ...], stride: tuple[int, ...], context: "list[int] | tuple[int, ...]") -> Iterator[Window]:
    """Windows over all latents, in raster order."""
    edge = round(_INSIDE ** (1 / len(space)))
    axes = [_along(*of) for of in zip(space, [max(1, edge // step) for step in stride], context, strict=True)]
    for parts in itertools.product(*axes):
        seen, wanted = zip(*parts, strict=True)
        yield Window(seen, wanted)


def _along(length: int, inside: int, context: int) -> list[tuple[slice, slice]]:
    """The inputs of the windows along one axis, and the parts to keep. The last window is moved back to end with the data."""
    whole, done, found = min(inside + 2 * context, length), 0, []
    while done < length:
        start = min(max(done - context, 0), length - whole)
        until = length if start + whole == length else start + whole - context
        found.append((slice(start, start + whole), slice(done, until)))
        done = until
    return found


def _inside(window: Window) -> Place:
    """The part to keep, counted from the start of the input."""
    return tuple(slice(b.start - a.start, b.stop - a.start) for a, b in zip(window.seen, window.wanted, strict=True))


def _data(place: Place, model: CodeAutoencoder, size: tuple[int, ...]) -> Place:
    """The data from which a window's latents follow. With a lead, a window is encoded as if its first position stood alone: this changes
    only its first latents, which are context."""
    lead = model.lead or (0,) * len(size)
    return tuple(
        slice(a.start * n, min(a.stop * n - before, end)) for a, n, before, end in zip(place, model.stride, lead, size, strict=True)
    )


def _tileable(model: Tokenizer) -> CodeAutoencoder:
    """The model, if it supports windows."""
    reason = _obstacle(model)
    if reason or not isinstance(model, CodeAutoencoder):
        raise ConfigError(f"This model cannot work in pieces: {reason}.")
    return model


def _obstacle(model: Tokenizer) -> str | None:
    """Why a model does not support windows; None if it does."""
    if not isinstance(model, CodeAutoencoder):
        return f"{type(model).__name__} does not say how its codes depend on its data"
    if model.draws or model.criterion.hop != 1:
        return f"its decoder ({type(model.decoder).__name__}) does not make data from nearby codes alone"
    for network in (model.encoder, model.decoder):
        far = next((type(part).__name__ for part in network.modules() if isinstance(part, _GLOBAL)), None)
        if far is not None:
            return f"{type(network).__name__} has the layer {far}, which sees all of the data at once"
        if trait(network, "context") is None:
            return (
                f"{type(network).__name__} does not say how far it sees. If it is local, set self.context in its __init__: for each axis, "
                "the number of positions on each side that an output depends on"
            )
    return None


def _words(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
