"""Arrays: examples in memory, and .npy and .npz files of pictures, series, spectrograms or volumes."""

import copy
import dataclasses
import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int, Shaped

from vqvae.config import INCIDENTAL, settings
from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.data.cache import user_path
from vqvae.data.labels import numbered
from vqvae.data.layout import TIME, Axes, axes_of
from vqvae.data.roles import Roles, roles_of
from vqvae.data.split import split_of_any_size
from vqvae.data.windows import OVERLAP, check_window, cut, default_window, windows
from vqvae.errors import ConfigError, DataError
from vqvae.media.arrays import StoredArray, open_arrays
from vqvae.signals import Signal, pictures

NUMPY = {torch.uint8: np.uint8, torch.int32: np.int32, torch.float32: np.float32}
"""The numpy type for each torch type of a signal."""
FEW_LEVELS = 32
"""If all whole numbers are below this, as for pixel classes, the largest one sets the number of levels. Otherwise, there are 256 levels
or a larger power of two."""
_MAX_EXAMPLES = 2**24
_SCANNED = 2**22
"""Values that are scanned at a time."""


class ArrayDataset(Dataset):
    """Examples in memory or in a memory-mapped file, with labels or actions if there are any.

    A batch is ``x`` (batch, channels, *axes) in the signal's type, ``condition.label`` int64 (batch,) or None, and
    ``condition.actions`` int64 (batch, 1) or None. ``mirror`` doubles the set: its second half is the first half with the last axis
    reversed.
    """

    def __init__(
        self,
        images: Shaped[np.ndarray, "examples *any"],
        *,
        name: str,
        rows: Int[np.ndarray, " rows"] | None = None,
        channels_last: bool = False,
        labels: Int[np.ndarray, " examples"] | None = None,
        label_names: tuple[str, ...] = (),
        actions: Int[np.ndarray, " examples"] | None = None,
        action_names: tuple[str, ...] = (),
        mirror: bool = False,
        signal: Signal | None = None,
        overlap: int = 1,
    ) -> None:
        """Keep a reference to the arrays; ``rows`` picks and orders examples without copying them.

        Args:
            overlap: the number of consecutive examples that share a value.
        """
        # A plain view, because batches would keep numpy's memmap class.
        array = np.asarray(images)
        self._images = np.moveaxis(array, -1, 1) if channels_last else array
        self.signal = signal or pictures(self._images.shape[1])
        self.name, self.label_names, self.action_names = name, label_names, action_names
        self._labels, self._actions, self._mirror = labels, actions, mirror
        self._rows, self._overlap = np.arange(len(images)) if rows is None else rows, overlap

    def __len__(self) -> int:
        return len(self._rows) * (2 if self._mirror else 1)

    def apart(self) -> "ArrayDataset":
        """The same data as examples that do not overlap."""
        if self._overlap == 1:
            return self
        found = copy.copy(self)
        found._rows, found._overlap = self._rows[:: self._overlap], 1
        return found

    def batch(self, indices: np.ndarray) -> Batch:
        rows = self._rows[indices % len(self._rows) if self._mirror else indices]
        # take() is faster, but it first copies the whole array if it is not contiguous.
        images = self._images.take(rows, axis=0) if self._images.flags.c_contiguous else self._images[rows]
        images = np.ascontiguousarray(images, NUMPY[self.signal.dtype])
        if self._mirror:
            mirrored = indices >= len(self._rows)
            images[mirrored] = images[mirrored][..., ::-1]
        label = None if self._labels is None else torch.from_numpy(self._labels[rows].astype(np.int64))
        actions = None if self._actions is None else torch.from_numpy(self._actions[rows].astype(np.int64)[:, None])
        return Batch(torch.from_numpy(images), Condition(label=label, actions=actions))


@settings
class ArrayConfig:
    """Pictures, series, spectrograms or volumes in a .npy or .npz file.

    An .npz file may hold ``x`` alone, or ``x_train`` with ``x_val`` or ``x_test``. Other names that contain ``train``, ``val`` or ``test``
    also work. Labels are ``y``, ``labels``, ``y_train`` and so on. If no array has the name of held-out data, 5 % of the examples are
    held out. A hash of the example's number selects them.

    One long recording, such as (channels, time), is cut into windows. The windows of its last 5 % are held out.
    """

    path: str = dataclasses.field(metadata=INCIDENTAL | {"value": "FILE"})
    """The .npy or .npz file."""
    layout: str = dataclasses.field(default="auto", metadata={"value": "AXES"})
    """The axes in order, such as "n h w c" or "n c time": n for examples, c for channels, and one to three others (h, w, d, t, f,
    or words). auto infers the axes from the shape. It stops if the shape is ambiguous. channels_first and channels_last say where the
    channels are."""
    key: str | None = dataclasses.field(default=None, metadata={"value": "NAME"})
    """The array of the .npz file to train on. Default: found by its name."""
    window: int | None = None
    """Length, in positions, of the windows of one long recording. Default: at most 1,024, short enough for about 64 windows or more."""
    levels: int | None = None
    """Number of levels of whole numbers, counted from 0. Default: the largest number plus one if it is below 32, otherwise 256 or a larger
    power of two."""
    low: float | None = None
    """Lower bound of floats. Default: no bound. Give it together with high."""
    high: float | None = None
    """Upper bound of floats. Give it together with low."""
    mirror: bool = False
    """Add a mirrored copy of every training example."""

    def build(self) -> Splits:
        """Open the file (memory-mapped unless it is compressed) and split it.

        Raises:
            DataError: if the file is missing, damaged or empty, or its shape is ambiguous.
        """
        path = user_path(self.path)
        found = open_source(self)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
        choice = self.layout + "".join(
            f"-{value}" for value in (self.key, self.levels, self.low, self.high, self.window) if value is not None
        )
        return found.splits(f"array-{path.stem}-{digest}-{choice}", self.mirror)


@dataclass(frozen=True)
class Statistics:
    """Statistics of the values of an array."""

    low: float
    high: float
    centre: tuple[float, ...]
    """The mean of each channel."""
    unit: tuple[float, ...]
    """The standard deviation of each channel; 1 for a channel that never changes."""


@dataclass(frozen=True)
class Source:
    """An array file, and the role of each of its arrays."""

    where: str
    """The file."""
    roles: Roles
    axes: Axes
    signal: Signal
    size: tuple[int, ...]
    """Positions along each axis of an example."""
    statistics: Statistics
    """Statistics of the training array."""
    sides: tuple[np.ndarray, ...]
    """The training array and, if the file has one, the held-out array: (n, channels, *axes)."""
    labels: tuple[np.ndarray | None, ...]
    label_names: tuple[str, ...]
    recorded: int = 0
    """Length, in positions, of the recording that was cut into the examples. 0 if the examples are not windows."""

    def splits(self, name: str, mirror: bool = False) -> Splits:
        """Both sides as data sets."""
        train = f"{name}-train{'-mirror' if mirror else ''}"
        common = {"signal": self.signal, "label_names": self.label_names}
        if len(self.sides) == 2:
            (x, x_held_out), (y, y_held_out) = self.sides, self.labels
            rows = held_out_rows = None
        else:
            (x,), (y,) = self.sides, self.labels
            x_held_out, y_held_out = x, y
            rows, held_out_rows = split_of_any_size([str(row) for row in range(len(x))], self.where)
        splits = Splits(
            ArrayDataset(x, name=train, rows=rows, labels=y, mirror=mirror, overlap=OVERLAP if self.recorded else 1, **common),
            ArrayDataset(x_held_out, name=f"{name}-held-out", rows=held_out_rows, labels=y_held_out, **common),
        )
        for dataset in splits:
            dataset.found = (self.describe(),)
        return splits

    def describe(self) -> str:
        """One line that says how the file is read."""
        values = f"{self.signal.levels} levels" if self.signal.levels else "floats"
        if self.signal.low is not None:
            values += f" in [{self.signal.low:g}, {self.signal.high:g}]"
        size = "×".join(map(str, self.size))
        channels = f"{self.signal.channels} channel{'s' if self.signal.channels > 1 else ''}"
        labels = f", {len(self.label_names)} classes" if self.label_names else ""
        unused = f"; not used: {', '.join(self.roles.unused)}" if self.roles.unused else ""
        train, held_out = self.roles.train, self.roles.held_out
        if self.recorded:
            end = f"from {held_out!r}" if held_out else "from its last 5 %"
            return (
                f"{self.where}: {train!r} is read as '{self.axes.layout}': one recording of {self.recorded:,} positions, {channels}, "
                f"{values}; {len(self.sides[0]):,} windows of {size} to train on, which overlap by half, and {len(self.sides[1]):,} {end} "
                f'held out{unused}. For another length: --data.window N. If these are separate series: --data.layout "n t".'
            )
        rest = f"{held_out!r} is held out ({len(self.sides[1])})" if held_out else "5 % of the examples are held out"
        axes = f"{size} ({', '.join(self.signal.axes)})"
        return (
            f"{self.where}: {train!r} is read as '{self.axes.layout}': {len(self.sides[0])} examples of {axes}, {channels}, {values}"
            f"{labels}; {rest}{unused}."
        )


def open_source(config: ArrayConfig) -> Source:
    """Inspect an array file: first the headers, then the values.

    Raises:
        ConfigError: if the bounds, levels or layout are invalid.
        DataError: see ``ArrayConfig.build``.
    """
    if config.levels is not None and config.low is not None:
        raise ConfigError("data.levels is for whole numbers, data.low for floats. Give only one of them.")
    path = user_path(config.path)
    arrays = open_arrays(path)
    roles = roles_of(arrays, config.key, str(path))
    keys = [key for key in (roles.train, roles.held_out) if key]
    axes = axes_of(arrays[roles.train].shape, config.layout, arrays[roles.train].dtype, f"{path}, array {roles.train!r},")
    for key in keys:
        _check_header(arrays[key], arrays[roles.train], axes)
    sides = tuple(axes.apply(arrays[key].read()) for key in keys)
    recorded = _recorded(axes, [arrays[key] for key in keys])
    if recorded:
        sides = _cut(sides, axes, config.window, f"{path}, array {roles.train!r},")
        unused = tuple(key for key in (roles.train_labels, roles.held_out_labels) if key)
        roles = dataclasses.replace(roles, train_labels=None, held_out_labels=None, unused=(*roles.unused, *unused))
        keys = keys if len(keys) == 2 else keys * 2
    elif config.window is not None:
        count = axes.count(arrays[roles.train].shape)
        raise ConfigError(
            f'data.window cuts one long recording; {path} has {count:,} examples. Omit it, or name the axes: --data.layout "c t"'
        )
    found = [_statistics(side, arrays[key]) for key, side in zip(keys, sides, strict=True)]
    label_keys = (roles.train_labels, roles.held_out_labels)[: len(sides)]
    given = [None if key is None else arrays[key] for key in label_keys]
    labels, names = numbered(given, [len(side) for side in sides])
    return Source(
        where=str(path),
        roles=roles,
        axes=axes,
        signal=_signal(config, axes, arrays[roles.train], found, sides[0].shape[1]),
        size=sides[0].shape[2:],
        statistics=found[0],
        sides=sides,
        labels=tuple(labels),
        label_names=names,
        recorded=recorded,
    )


def _recorded(axes: Axes, arrays: list[StoredArray]) -> int:
    """The length of the training array if it is one recording, otherwise 0. A single example with a time axis also counts as a recording
    if there is no held-out array."""
    shape = arrays[0].shape
    is_single = len(arrays) == 1 and axes.count(shape) == 1 and TIME in axes.all
    return shape[axes.all.index(TIME)] if axes.is_recording or is_single else 0


def _cut(sides: tuple[np.ndarray, ...], axes: Axes, window: int | None, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Cut a recording into training windows and held-out windows. A second recording, if given, is held out."""
    time = 2 + axes.names.index(TIME)
    if len(sides) == 1:
        return cut(sides[0], time, window, where)
    lengths = [side.shape[time] for side in sides]
    window = default_window(min(lengths), len(axes.names)) if window is None else window
    check_window(window)
    if min(lengths) < window:
        raise DataError(f"{where} has recordings of {lengths} positions; at least one window of {window:,} is expected. Set data.window.")
    return windows(sides[0], time, window, max(1, window // OVERLAP)), windows(sides[1], time, window, window)


def _check_header(array: StoredArray, train: StoredArray, axes: Axes) -> None:
    """Raise DataError unless an array holds numbers and its examples have the training array's shape."""
    where = f"{array.path}, array {array.name!r},"
    if array.dtype.kind not in "biuf":
        advice = "Give real and imaginary parts as two channels." if array.dtype.kind == "c" else "Give numbers."
        raise DataError(f"{where} is {array.dtype}; expected whole numbers or floats. {advice}")
    if 0 in array.shape:
        raise DataError(f"{where} has shape {array.shape}: it is empty.")
    if len(array.shape) != len(train.shape) or axes.example(array.shape) != axes.example(train.shape):
        raise DataError(
            f"{array.path}: {train.name} and {array.name} have examples of unequal shape: {axes.example(train.shape)} and "
            f"{axes.example(array.shape) if len(array.shape) == len(train.shape) else array.shape}."
        )
    if axes.count(array.shape) > _MAX_EXAMPLES:
        raise DataError(
            f"{where} has {axes.count(array.shape)} examples; at most {_MAX_EXAMPLES} are read. Is the first axis that of the examples?"
        )


def _statistics(x: np.ndarray, array: StoredArray) -> Statistics:
    """The minimum, maximum, means and deviations of (n, channels, *axes), computed a few examples at a time.

    Raises:
        DataError: if a value is not finite, or too large for float32.
    """
    lows, highs, counts, sums, squares = [], [], 0, 0.0, 0.0
    step = max(1, _SCANNED // max(1, x[0].size))
    origin, has_moments = None, array.dtype.kind in "if" or array.dtype.itemsize > 2  # All others have levels.
    for start in range(0, len(x), step):
        part = np.asarray(x[start : start + step])
        lows.append(part.min())
        highs.append(part.max())
        if not np.isfinite(lows[-1]) or not np.isfinite(highs[-1]) or max(abs(float(lows[-1])), abs(float(highs[-1]))) > 1e30:
            raise DataError(
                f"{array.path}, array {array.name!r}, has values that are not finite, or beyond ±1e30, in the examples {start} to "
                f"{start + len(part) - 1}. Remove or replace them."
            )
        if not has_moments:
            continue
        rows = np.moveaxis(part, 1, 0).reshape(part.shape[1], -1).astype(np.float64)
        # Moments are computed about the mean of the first part, because squares far from zero would cancel.
        origin = rows.mean(1, keepdims=True) if origin is None else origin
        rows -= origin
        counts, sums, squares = counts + rows.shape[1], sums + rows.sum(1), squares + np.square(rows).sum(1)
    if not has_moments:
        return Statistics(float(min(lows)), float(max(highs)), (0.0,) * x.shape[1], (1.0,) * x.shape[1])
    mean = sums / counts
    deviation = np.sqrt(np.maximum(squares / counts - mean**2, 0))
    centre = mean + (0 if origin is None else origin[:, 0])
    unit = np.where(deviation > 1e-30, deviation, 1.0)
    return Statistics(float(min(lows)), float(max(highs)), tuple(np.asarray(centre).tolist()), tuple(unit.tolist()))


def _signal(config: ArrayConfig, axes: Axes, array: StoredArray, found: list[Statistics], channels: int) -> Signal:
    """The signal of the examples. Whole numbers from 0 to 65,535 have levels; everything else is treated as floats."""
    low, high = min(one.low for one in found), max(one.high for one in found)
    where = f"{array.path}, array {array.name!r},"
    is_whole = array.dtype.kind in "biu" and low >= 0 and high < 2**16
    if config.levels is not None or (is_whole and config.low is None):
        levels = config.levels if config.levels is not None else _levels(array.dtype, int(high))
        if array.dtype.kind not in "biu" or not 0 <= low <= high < levels:
            raise DataError(
                f"{where} is {array.dtype} from {low:g} to {high:g}; with data.levels {levels}, whole numbers from 0 are expected."
            )
        return Signal(axes=axes.names, channels=channels, levels=levels)
    bounded = Signal(axes=axes.names, channels=channels, low=config.low, high=config.high)
    if config.low is not None and config.high is not None and not config.low <= low <= high <= config.high:
        raise DataError(f"{where} has values from {low:g} to {high:g}; data.low and data.high are {config.low:g} and {config.high:g}.")
    return bounded


def _levels(dtype: np.dtype, high: int) -> int:
    """The default number of levels of whole numbers up to ``high``."""
    if high < FEW_LEVELS:
        return max(high + 1, 2)
    return 256 if high < 256 and dtype.itemsize == 1 else 2 ** max(8, int(high).bit_length())
