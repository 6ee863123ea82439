"""Pictures and charts of arrays: series as lines, maps as heat maps, volumes by their middle slice."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vqvae.data.arrays import FEW_LEVELS
from vqvae.evaluation.images.maps import enlarged
from vqvae.exact import exact
from vqvae.reports.colours import code_colours, heat
from vqvae.reports.grids import grid
from vqvae.reports.series import Panel, series_chart
from vqvae.signals import Signal

_MOST_CHANNELS, _MOST_SIDE, _ROOM, _COLUMNS = 3, 256, 860, 8


class Drawing(NamedTuple):
    """A picture, or a chart if the data is a series."""

    pixels: UInt8[np.ndarray, "_ _ 3"] | None
    chart: str | None
    caption: str


def columns_of(signal: Signal, size: tuple[int, ...]) -> int:
    """How many examples of this size fit beside each other in a picture, or below each other in a chart."""
    if len(size) == 1:
        return 3 if signal.channels == 1 else 2
    down, across = _drawn_size(size)
    return max(1, min(_COLUMNS, _ROOM // (across * max(1, round(96 / max(down, across))))))


def draw_pairs(original: Tensor, made: Tensor, signal: Signal, title: str) -> Drawing:
    """Examples (n, channels, *axes), their reconstructions, and the error at each position.

    The error is the mean absolute error over the channels. Whole numbers with few levels are classes: each has its own colour, and the
    error is the share of channels with another class. Of more than three channels, the first three are drawn.
    """
    original, made = original.cpu(), made.cpu()
    is_classes = signal.levels is not None and signal.levels <= FEW_LEVELS
    wrong = (original != made) if is_classes else (exact(original) - exact(made)).abs()
    error = exact(wrong).mean(1)
    if len(signal.axes) == 1:
        panels = [
            Panel(_named(example, channel, signal), (original[example, channel].numpy(), made[example, channel].numpy()), one)
            for example in range(len(original))
            for channel, one in _with_error(error[example].numpy(), min(signal.channels, _MOST_CHANNELS))
        ]
        return Drawing(None, series_chart(title, ("original", "reconstruction"), panels, signal.axes[0]), title)
    most = float(error.max())
    rows: dict[str, Tensor] = {}
    for channel in range(min(signal.channels, _MOST_CHANNELS)):
        name = f" {channel + 1}" if signal.channels > 1 else ""
        (rows[f"original{name}"], rows[f"decoded{name}"]), _ = _coloured((original[:, channel], made[:, channel]), signal)
    (rows["error"],), _ = _coloured((error,), signal, (0.0, most))
    kind = "Error (the share of channels that differ)" if is_classes else "Error"
    return Drawing(enlarged(rows), None, f"{title} {_axes(signal)}{kind}: black is 0, the brightest colour {most:.3g}.")


def draw(examples: Tensor, signal: Signal, title: str, name: str = "sample") -> Drawing:
    """Examples (n, channels, *axes) alone."""
    examples = examples.cpu()
    channels = min(signal.channels, _MOST_CHANNELS)
    if len(signal.axes) == 1:
        names = [f"channel {channel + 1}" for channel in range(channels)] if channels > 1 else [name]
        panels = [
            Panel(f"{name} {number + 1}", [one[channel].numpy() for channel in range(channels)]) for number, one in enumerate(examples)
        ]
        return Drawing(None, series_chart(title, names, panels, signal.axes[0]), title)
    rows = {}
    for channel in range(channels):
        shown, _ = _coloured((examples[:, channel],), signal)
        rows[f"channel {channel + 1}" if channels > 1 else name] = shown[0]
    return Drawing(enlarged(rows), None, f"{title} {_axes(signal)}".strip())


def draw_error(error: Float[Tensor, "*space"], signal: Signal, title: str) -> Drawing:
    """The error at each position, over all held-out examples."""
    if len(signal.axes) == 1:
        return Drawing(None, series_chart(title, ("error",), [Panel("error", [error.numpy()])], signal.axes[0]), title)
    (shown,), (_, high) = _coloured((error[None],), signal, (0.0, float(error.max())))
    return Drawing(grid(shown, 1), None, f"{title} {_axes(signal)}Black is 0, the brightest colour {high:.3g}.")


def _with_error(error: np.ndarray, channels: int) -> list[tuple[int, np.ndarray | None]]:
    """The channels to draw. The error is drawn below the last one."""
    return [(channel, error if channel == channels - 1 else None) for channel in range(channels)]


def _named(example: int, channel: int, signal: Signal) -> str:
    return f"example {example + 1}" + (f", channel {channel + 1}" if signal.channels > 1 else "")


def _axes(signal: Signal) -> str:
    """Which axes a picture shows, if that is not obvious. Ends with a space."""
    *rest, down, across = signal.axes
    slices = f"Each picture is the middle slice along {rest[0]}. " if rest else ""
    return slices if (down, across) == ("height", "width") else f"{slices}Down: {down}. Across: {across}. "


def _drawn_size(size: tuple[int, ...]) -> tuple[int, int]:
    step = -(-max(size[-2:]) // _MOST_SIDE)
    return -(-size[-2] // step), -(-size[-1] // step)


def _coloured(
    maps: tuple[Tensor, ...], signal: Signal, ends: tuple[float, float] | None = None
) -> tuple[list[UInt8[Tensor, "n 3 height width"]], tuple[float, float]]:
    """Maps (n, *axes) as pictures with one scale, and the ends of that scale. Default: the minimum and the maximum of the first maps."""
    flat = [_slice(one) for one in maps]
    first = exact(flat[0])
    low, high = ends or (float(first.min()), float(first.max()))
    pictures = []
    for one in flat:
        if ends is None and signal.levels is not None and signal.levels <= FEW_LEVELS:
            colours = code_colours(one.long().numpy(), signal.levels)
        else:
            colours = heat(((exact(one) - low) / ((high - low) or 1.0)).numpy())
        pictures.append(torch.from_numpy(colours).permute(0, 3, 1, 2))
    return pictures, (low, high)


def _slice(maps: Tensor) -> Tensor:
    """(n, height, width): the middle of all axes before the last two. Large ones are thinned."""
    while maps.ndim > 3:
        maps = maps[:, maps.shape[1] // 2]
    step = -(-max(maps.shape[1:]) // _MOST_SIDE)
    return maps[:, ::step, ::step]
