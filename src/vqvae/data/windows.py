"""One long recording as examples: training windows, and held-out windows at its end. No value is on both sides."""

import numpy as np
from jaxtyping import Shaped

from vqvae.data.split import HELD_OUT_SHARE
from vqvae.errors import ConfigError, DataError

_LONGEST = {1: 1024, 2: 128, 3: 16}
"""The longest default window, by the number of axes."""
_LEAST, _WINDOWS = 8, 64
"""The shortest default window, and the number of windows that a recording should give."""
OVERLAP = 2
"""The number of training windows that contain a position."""


def default_window(length: int, axes: int = 1) -> int:
    """A power of two that gives enough windows, for a recording of this length and number of axes."""
    return min(_LONGEST.get(axes, _LEAST), max(_LEAST, 2 ** int(np.log2(max(length // _WINDOWS, 1)))))


def windows(x: Shaped[np.ndarray, "1 channels *axes"], time: int, window: int, hop: int) -> Shaped[np.ndarray, "n channels *window_axes"]:
    """The windows of a recording as a view, without a copy. A rest that is shorter than a window is not used.

    Args:
        x: the recording.
        time: the axis of ``x`` to cut.
        window: length of a window, in positions.
        hop: number of positions from the start of a window to the start of the next.
    """
    view = np.lib.stride_tricks.sliding_window_view(x[0], window, axis=time - 1)
    starts = view[(slice(None),) * (time - 1) + (slice(None, None, hop),)]
    return np.moveaxis(np.moveaxis(starts, time - 1, 0), -1, time)


def cut(
    x: Shaped[np.ndarray, "1 channels *axes"], time: int, window: int | None, where: str
) -> tuple[Shaped[np.ndarray, "n channels *window_axes"], Shaped[np.ndarray, "m channels *window_axes"]]:
    """Training windows, which overlap by half, and held-out windows, which do not overlap.

    The last 5 % of the recording, at least one window, are held out.

    Args:
        x: the recording.
        time: the axis of ``x`` to cut.
        window: length of a window, in positions; default: ``default_window``.
        where: a name of the array, for errors.

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
        raise ConfigError(f"data.window is {window}; expected at least 2 positions.")
