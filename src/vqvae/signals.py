"""What an example of a data set is, apart from its size. Only this module checks data and scales it.

Data stays raw until a part needs floats. Every run stores its signal.
"""

import math
from dataclasses import field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from vqvae.config import settings
from vqvae.errors import ConfigError, DataError
from vqvae.exact import exact, is_traced

AXES = {0: (), 1: ("time",), 2: ("height", "width"), 3: ("time", "height", "width")}
"""The usual names of this many axes."""
_BRIGHTNESS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a picture's brightness: ITU-R BT.601, as in PIL."""
_ADVICE = {torch.int16: "Divide it by 32768.", torch.int32: "Divide it by 2147483648.", torch.uint8: "Subtract 128 and divide by 128."}
"""How integer sound becomes floats in [-1, 1]."""


@settings
class Signal:
    """Axes, channels and values of data. A batch of it is (batch, channels, *axes)."""

    axes: tuple[str, ...]
    """The axes' names in order, such as ("height", "width"), ("time",) or ("time", "height", "width"). Any names are allowed."""
    channels: int
    """Channels at each position."""
    levels: int | None = field(default=None, metadata={"bounds": (2, 2**31)})
    """Number of integer levels, from 0 up, such as 256 or 65,536; None for floats."""
    low: float | None = None
    """The smallest value of floats; None if they have no bounds."""
    high: float | None = None
    """The largest value of floats."""
    sample_rate: float | None = None
    """Positions per second along time; None if unknown, or if there is no time axis."""

    def __post_init__(self) -> None:
        if self.channels < 1 or len(set(self.axes)) < len(self.axes):
            raise ConfigError(f"{self} is not a signal: channels must be at least 1, and axes need different names.")
        if (self.low is None) != (self.high is None) or (self.low is not None and self.high is not None and not self.low < self.high):
            raise ConfigError(f"Signal.low is {self.low} and high is {self.high}; give both, low below high, or neither.")
        if self.levels is not None and self.low is not None:
            raise ConfigError("Signal has both levels and a range. Integers have levels; only floats may have a range.")
        if self.sample_rate is not None and not (self.sample_rate > 0 and "time" in self.axes):
            raise ConfigError(f"Signal.sample_rate is {self.sample_rate}; it must be positive, and one of the axes must be 'time'.")

    @property
    def dtype(self) -> torch.dtype:
        """The type of raw data: uint8 up to 256 levels, int32 above, float32 without levels. int64 levels are accepted too."""
        return torch.float32 if self.levels is None else torch.uint8 if self.levels <= 256 else torch.int32

    def check(self, x: Any) -> Tensor:
        """Return a batch if it is valid.

        Raises:
            DataError: if it is not a tensor, has the wrong type, number of axes or channels, or holds a value outside the signal's.
        """
        if not isinstance(x, Tensor):
            raise DataError(f"Data came as {type(x).__name__}; a tensor is expected, {self.shape()}. Make one with torch.as_tensor.")
        is_float = x.is_floating_point()
        if is_float != (self.levels is None) or (not is_float and x.dtype not in (self.dtype, torch.int64)):
            advice = "Give the data raw, not scaled." if self.levels is not None else _ADVICE.get(x.dtype, "Convert it to floats.")
            raise DataError(f"Data came as {described(x)}; expected {self.values()}, {self.shape()}. {advice}")
        if x.ndim != 2 + len(self.axes) or x.shape[1] != self.channels:
            raise DataError(f"Data came in the shape {tuple(x.shape)}; expected {self.shape()}. {self._advice(x)}")
        self._check_values(x)
        return x

    def batch(self, data: Any) -> Tensor:
        """A checked batch (n, channels, *axes) from a tensor, array or picture.

        Args:
            data: a tensor, a NumPy array or a PIL picture; one example or a batch, or a list of examples of one size. Arrays of pictures
                may have their channels last. Grey becomes colour and colour becomes grey; see ``match_channels``.

        Raises:
            DataError: if data has the wrong kind, type, shape or range.
        """
        if isinstance(data, list | tuple):
            examples = [self.batch(one) for one in data]
            if len({one.shape[1:] for one in examples}) > 1:
                sizes = sorted({tuple(one.shape[2:]) for one in examples})
                raise DataError(f"The examples have the sizes {sizes[:4]}; a batch needs one size. Pass them one by one, or resize them.")
            return torch.cat(examples) if examples else torch.empty(0, self.channels, *[1] * len(self.axes), dtype=self.dtype)
        x = self._channels_second(as_tensor(data))
        if x.ndim == len(self.axes) + 1:
            x = x[None]
        is_integer = not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)
        if self.levels is not None and is_integer and x.dtype != self.dtype:
            x = x.long()
        if x.ndim == len(self.axes) + 2 and x.dtype in (self.dtype, torch.int64) or x.is_floating_point():
            x = self.match_channels(x)
        return self.check(x).to(self.dtype)

    def match_channels(self, x: Shaped[Tensor, "n given *axes"]) -> Shaped[Tensor, "n matched *axes"]:
        """A batch with the signal's channels, if that loses nothing but colour. Grey is repeated to make colour. Colour becomes its
        brightness (ITU-R BT.601). Several channels of sound become their mean. An alpha channel of a picture is composed over white.
        Anything else is returned unchanged, for ``check`` to refuse.
        """
        if x.ndim != len(self.axes) + 2 or x.shape[1] == self.channels:
            return x
        is_picture = self.axes[-2:] == AXES[2] and self.channels in (1, 3)
        if self.axes == AXES[2] and is_picture and x.shape[1] in (2, 4):  # Clips have no alpha: 4 is rather their number of frames.
            x = self._over_white(x)
        if x.shape[1] == 1 and is_picture:
            return x.expand(-1, self.channels, *x.shape[2:])
        if is_picture and x.shape[1] == 3 and self.channels == 1:
            return self._mixed(x, _BRIGHTNESS)
        if self.axes == AXES[1] and self.channels == 1 and x.shape[1] == 2:
            return self._mixed(x, (0.5, 0.5))
        return x

    def to_unit(self, x: Shaped[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        """Raw data as floats from -1 to 1, in float32 at least. Floats without bounds stay unchanged."""
        middle, half = self._scale
        unit = x.to(torch.promote_types(x.dtype, torch.float32)) if x.is_floating_point() else x.float()
        if self.levels is not None:  # A new tensor, so in place. Divided first: trained networks depend on this rounding.
            return unit.div_(half).sub_(middle / half)
        return unit if (middle, half) == (0, 1) else (unit - middle) / half

    def from_unit(self, unit: Float[Tensor, "*any"]) -> Shaped[Tensor, "*any"]:
        """Floats from -1 to 1 as raw data. Levels are rounded; values beyond the range are clipped."""
        middle, half = self._scale
        if self.levels is not None:
            # Beyond 24 bits the last level would be rounded up, out of int32.
            device = unit.device
            unit = exact(unit) if self.levels > 2**24 else unit
            return (middle + half * unit).round().clamp(0, self.levels - 1).to(self.dtype).to(device)
        return unit if self.low is None or self.high is None else (middle + half * unit).clamp(self.low, self.high)

    def fits(self, other: "Signal") -> bool:
        """Whether this signal accepts data of ``other``. Names of axes and rates may differ, and so may bounds if this has none."""
        bounds = self.low is None or (self.low, self.high) == (other.low, other.high)
        return len(self.axes) == len(other.axes) and (self.channels, self.levels) == (other.channels, other.levels) and bounds

    def shape(self) -> str:
        """The shape of a batch in words, such as ``(batch, 3, height, width)``."""
        return f"({', '.join(['batch', str(self.channels), *self.axes])})"

    def values(self) -> str:
        """Type and range in words."""
        if self.levels is not None:
            return f"{self.dtype} with levels from 0 to {self.levels - 1}"
        return "finite floats" if self.low is None else f"finite floats in [{self.low:g}, {self.high:g}]"

    def _channels_second(self, x: Tensor) -> Tensor:
        """Pictures (height, width), (height, width, channels) or (n, height, width, channels), with channels moved before height."""
        if self.axes != AXES[2]:
            return x
        if x.ndim == 2:
            return x[None]
        channels = (1, 2, 3, 4)
        last = x.ndim in (3, 4) and x.shape[-1] in channels and x.shape[-3] not in channels
        return x.movedim(-1, -3) if last else x

    def _over_white(self, x: Tensor) -> Tensor:
        white = self.levels - 1 if self.levels is not None else 1.0 if self.high is None else self.high
        low = 0 if self.low is None else self.low
        share = (exact(x[:, -1:]) - low) / (white - low)
        over = exact(x[:, :-1]) * share + white * (1 - share)
        return (over.round() if self.levels is not None else over).to(x.device, x.dtype)

    def _mixed(self, x: Tensor, weights: tuple[float, ...]) -> Tensor:
        """One channel, the weighted sum of several."""
        values = exact(x)
        mixed = torch.einsum("nc...,c->n...", values, values.new_tensor(weights)).unsqueeze(1)
        return (mixed.round() if self.levels is not None else mixed).to(x.device, x.dtype)

    @property
    def _scale(self) -> tuple[float, float]:
        """The middle of the range and half its width."""
        if self.levels is not None:
            return (self.levels - 1) / 2, (self.levels - 1) / 2
        return (0.0, 1.0) if self.low is None or self.high is None else ((self.low + self.high) / 2, (self.high - self.low) / 2)

    def _advice(self, x: Tensor) -> str:
        """What to do about a wrong shape."""
        if x.ndim != 2 + len(self.axes):
            return "Add the missing axis, for example with x[None], or remove the extra one."
        if x.shape[-1] == self.channels:
            return "Channels come second: x.movedim(-1, 1)."
        return "Take the mean of the channels." if self.channels == 1 else "Give it that many channels."

    def _ends(self, dtype: torch.dtype) -> tuple[float, float]:
        """The smallest and the largest value allowed in data of this type."""
        if self.levels is not None:
            return 0, self.levels - 1
        if self.low is None or self.high is None:
            return -math.inf, math.inf
        # Rounded as the data is: 0.1 in float32 lies above 0.1.
        least, most = torch.tensor([self.low, self.high], dtype=dtype).tolist()
        return least, most

    def _check_values(self, x: Tensor) -> None:
        """Raise DataError if a value lies outside the signal's. Levels that fill their type need no check. Traced code skips it."""
        if (self.levels == 256 and x.dtype == torch.uint8) or is_traced() or not x.numel():
            return
        low, high = (float(end) for end in torch.aminmax(x.detach()))
        least, most = self._ends(x.dtype)
        # NaN compares false too.
        if not least <= low <= high <= most or math.inf in (-low, high):
            raise DataError(f"Data came as {described(x)}; expected {self.values()}. Scale or clip it.")


def pictures(channels: int = 3, levels: int = 256) -> Signal:
    """Pictures: (batch, channels, height, width)."""
    return Signal(axes=AXES[2], channels=channels, levels=levels)


def sound(sample_rate: float | None = None) -> Signal:
    """Sound with one channel: floats (batch, 1, time) in [-1, 1]."""
    return Signal(axes=AXES[1], channels=1, low=-1.0, high=1.0, sample_rate=sample_rate)


def as_tensor(data: Any) -> Tensor:
    """A tensor from a tensor, a NumPy array or a PIL picture.

    Raises:
        DataError: if data is anything else, or an array that does not hold numbers.
    """
    if isinstance(data, Tensor):
        return data
    mode = getattr(data, "mode", None)
    if isinstance(mode, str) and hasattr(data, "convert"):  # PIL. Palettes, CMYK and bits are no levels yet.
        is_transparent = "transparency" in getattr(data, "info", {})
        kept = ("L", "RGB", "RGBA", "LA") if not is_transparent else ("RGBA", "LA")
        is_deep = mode.startswith(("I", "F"))
        data = (
            data if mode in kept or is_deep else data.convert("RGBA" if is_transparent or mode == "PA" else "L" if mode == "1" else "RGB")
        )
    elif not isinstance(data, np.ndarray | np.generic):
        raise DataError(f"Data came as {type(data).__name__}; a tensor, a NumPy array, a PIL picture, or a list of them is expected.")
    array = np.asarray(data)
    if array.dtype.kind not in "biuf":
        raise DataError(f"Data came as an array of {array.dtype}; an array of real numbers is expected.")
    if array.dtype.itemsize > 8 and array.dtype.kind == "f":
        array = array.astype(np.float64)
    # In the machine's byte order, and writable: torch accepts no other.
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def described(x: Tensor) -> str:
    """The type of data and the range of its values, for messages about scaled data or a wrong type."""
    if not x.numel():
        return f"{x.dtype} without values"
    if x.is_complex():
        return str(x.dtype)
    low, high = (float(end) for end in torch.aminmax(exact(x.detach())))
    return f"{x.dtype} with values from {low:g} to {high:g}"
