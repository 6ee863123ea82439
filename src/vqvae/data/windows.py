"""One long recording as examples: windows to train on, and windows of its end to hold out. No value is on both sides."""

import numpy as np
from jaxtyping import Shaped

from vqvae.data.split import HELD_OUT_SHARE
from vqvae.errors import ConfigError, DataError

_LONGEST = {1: 1024, 2: 128, 3: 16}
"""Positions of the default window at most, by the number of axes."""
_LEAST, _WINDOWS = 8, 64
"""Positions of the default window at least, and how many windows a recording should give."""
OVERLAP = 2
"""Each position that is trained on lies in so many windows."""


def default_window(length: int, axes: int = 1) -> int:
    """A power of two that gives a recording of this length and with so many axes enough windows."""
    return min(_LONGEST.get(axes, _LEAST), max(_LEAST, 2 ** int(np.log2(max(length // _WINDOWS, 1)))))


def windows(x: Shaped[np.ndarray, "1 channels *axes"], time: int, window: int, hop: int) -> Shaped[np.ndarray, "n channels *window_axes"]:
    """The windows of a recording as a view, without a copy. A rest that fills no window is left out.

    Args:
        x: the recording.
        time: the axis of ``x`` that is cut.
        window: positions of a window.
        hop: positions from the start of a window to the start of the next.
    """
    view = np.lib.stride_tricks.sliding_window_view(x[0], window, axis=time - 1)
    starts = view[(slice(None),) * (time - 1) + (slice(None, None, hop),)]
    return np.moveaxis(np.moveaxis(starts, time - 1, 0), -1, time)


def cut(
    x: Shaped[np.ndarray, "1 channels *axes"], time: int, window: int | None, where: str
) -> tuple[Shaped[np.ndarray, "n channels *window_axes"], Shaped[np.ndarray, "m channels *window_axes"]]:
    """Windows to train on, which overlap by half, and windows to hold out, which do not overlap.

    The last 5 % of the recording, at least one window, are held out.

    Args:
        x: the recording.
        time: the axis of ``x`` that is cut.
        window: positions of a window. Default: ``default_window``.
        where: names the array in errors.

    Raises:
        ConfigError: if the window is shorter than two positions.
        DataError: if the recording has fewer than two windows.
    """
    length = x.shape[time]
    window = default_window(length, x.ndim - 2) if window is None else window
    check_window(window)
    held_out = max(window, round(HELD_OUT_SHARE * length))
    if length - held_out < window:
        raise DataError(
            f"{where} has {length:,} positions; windows of {window:,} need at least {2 * window:,}, one window to train on and one to hold "
            "out. Choose a shorter window: --data.window N"
        )
    before = (slice(None),) * time
    train, rest = x[(*before, slice(0, length - held_out))], x[(*before, slice(length - held_out, None))]
    return windows(train, time, window, max(1, window // OVERLAP)), windows(rest, time, window, window)


def check_window(window: int) -> None:
    """Raise ConfigError if a window is too short."""
    if window < 2:
        raise ConfigError(f"data.window is {window}; at least 2 positions are expected.")
