"""The axes of arrays: which one counts the examples, which one holds the channels, and what the others are."""

from dataclasses import dataclass

import numpy as np

from vqvae.errors import ConfigError, DataError

EXAMPLES, CHANNELS = "n", "c"
_LETTERS = {"h": "height", "w": "width", "d": "depth", "t": "time", "f": "frequency", "channels": CHANNELS, "batch": EXAMPLES}
_SPACE = {1: ("time",), 2: ("height", "width"), 3: ("depth", "height", "width")}
_FEW_CHANNELS, _SERIES_CHANNELS = 4, 16
_LONG = 2**15
"""With layout "auto", an array with few rows or columns and at least this many positions is one recording."""
TIME = "time"
_HELP = 'Name the axes: --data.layout "n h w c" for pictures, "n t c" for series, "n f t" for spectrograms, "n d h w" for volumes.'


@dataclass(frozen=True)
class Axes:
    """The axes of an array, in order: "n", an optional "c", and the names of the others. Without "n", the array is one recording."""

    all: tuple[str, ...]

    @property
    def layout(self) -> str:
        """The layout as a user writes it."""
        return " ".join(self.all)

    @property
    def names(self) -> tuple[str, ...]:
        """The axes of an example, without the channels."""
        return tuple(name for name in self.all if name not in (EXAMPLES, CHANNELS))

    @property
    def is_recording(self) -> bool:
        """Whether the array has no axis of examples. If so, it is cut along time."""
        return EXAMPLES not in self.all

    def count(self, shape: tuple[int, ...]) -> int:
        """The number of examples in an array of this shape."""
        return 1 if self.is_recording else shape[self.all.index(EXAMPLES)]

    def example(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of one example in an array of this shape, with the axes in the same order.

        The time axis of a recording is omitted, because a recording may have any length.
        """
        free = TIME if self.is_recording else EXAMPLES
        return tuple(length for name, length in zip(self.all, shape, strict=True) if name != free)

    def apply(self, array: np.ndarray) -> np.ndarray:
        """The array as (n, channels, *axes), without a copy. A recording has n = 1."""
        order = [name for name in (EXAMPLES, CHANNELS, *self.names) if name in self.all]
        view = array.transpose([self.all.index(name) for name in order])
        view = view[None] if self.is_recording else view
        return view if CHANNELS in self.all else view[:, None]


def axes_of(shape: tuple[int, ...], layout: str, dtype: np.dtype, where: str) -> Axes:
    """Find the axes that a layout names. "auto" infers them from the shape and the data type.

    Raises:
        ConfigError: if the layout is not a list of axes.
        DataError: if the layout and the array differ in the number of axes, or the layout is "auto" and the shape is ambiguous.
    """
    words = layout.replace(",", " ").split()
    if len(words) == 1 and set(layout) <= set("nchwdtf"):
        words = list(layout)
    if layout not in ("auto", "channels_first", "channels_last"):
        axes = Axes(tuple(_LETTERS.get(word.lower(), word.lower()) for word in words))
        missing = axes.is_recording and TIME not in axes.all
        if missing or len(set(axes.all)) < len(axes.all) or not 1 <= len(axes.names) <= 3:
            raise ConfigError(
                f"data.layout is {layout!r}; expected n, at most one c, and one to three other axes, each once. One long recording has "
                f't and no n: "c t". {_HELP}'
            )
        if len(axes.all) != len(shape):
            raise DataError(f"{where} has shape {shape}, which is {len(shape)} axes; data.layout {layout!r} names {len(axes.all)}.")
        return axes
    if len(shape) == 1:
        return Axes((TIME,))
    if not 2 <= len(shape) <= 5:
        raise DataError(f"{where} has shape {shape}; 1 to 5 axes are expected: examples, 1 to 3 axes, and optional channels. {_HELP}")
    if layout == "auto":
        return _by_shape(shape, dtype, where)
    if len(shape) == 2 or (len(shape) == 3 and dtype == np.uint8):
        return _without_channels(len(shape) - 1)
    return _with_channels(len(shape) - 2, is_last=layout == "channels_last")


def _by_shape(shape: tuple[int, ...], dtype: np.dtype, where: str) -> Axes:
    space = shape[1:]
    if len(space) == 1:
        if min(shape) <= _SERIES_CHANNELS and max(shape) >= _LONG:
            return Axes((TIME, CHANNELS) if shape[0] > shape[1] else (CHANNELS, TIME))
        return _without_channels(1)
    if len(space) == 2:
        least, most = min(space), max(space)
        is_series = dtype != np.uint8 and least <= _SERIES_CHANNELS and most >= 4 * least
        return _with_channels(1, is_last=space[1] == least) if is_series else _without_channels(2)
    first, last = space[0] <= _FEW_CHANNELS, space[-1] <= _FEW_CHANNELS
    if first != last:
        return _with_channels(len(space) - 1, is_last=last)
    if len(set(space)) == 1 and len(space) == 3 and not first:
        return _without_channels(3)
    raise DataError(f"{where} has shape {shape}, which is ambiguous: it is unclear which axis holds the channels. {_HELP}")


def _with_channels(count: int, *, is_last: bool) -> Axes:
    return Axes((EXAMPLES, *_SPACE[count], CHANNELS) if is_last else (EXAMPLES, CHANNELS, *_SPACE[count]))


def _without_channels(count: int) -> Axes:
    return Axes((EXAMPLES, *_SPACE[count]))
