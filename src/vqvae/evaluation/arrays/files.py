"""Array files as examples of a signal, and back."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqvae.errors import DataError
from vqvae.media.arrays import read_array, write_array
from vqvae.signals import AXES, Signal

_NUMPY = {torch.uint8: np.uint8, torch.int32: np.int32, torch.float32: np.float32}


def read_examples(path: Path, signal: Signal, bounds: tuple[float, float] | None = None) -> Iterator[Tensor]:
    """The examples of a .npy or .npz file with one array, as one block (n, channels, *axes).

    The array may have the channels first or last. It needs no axis of channels if there is one channel, and no axis of examples if there is
    one example. One clip may also have the frames first, (time, channels, height, width), as ``vqvae.media.video.write_video`` writes it.

    Args:
        path: the file.
        signal: what the examples are.
        bounds: the values in an array of floats that become the lowest and the highest level, for a signal with levels.

    Raises:
        DataError: if the file cannot be read, or its array does not fit the signal or the bounds.
    """
    yield examples_of(np.asarray(read_array(path)), signal, bounds, path)


def examples_of(array: np.ndarray, signal: Signal, bounds: tuple[float, float] | None, path: Path | str) -> Tensor:
    """The examples in an array, (n, channels, *axes); see ``read_examples``. ``path`` is what errors call it."""
    if bounds is not None and signal.levels is not None and array.dtype.kind == "f":
        array = _to_levels(array, bounds, signal.levels, path)
    axes, channels = len(signal.axes), signal.channels
    x = array
    if signal.axes == AXES[3] and x.ndim == 4 and x.shape[1] == channels != x.shape[0]:
        x = np.moveaxis(x, 1, 0)
    if channels == 1 and x.ndim in (axes, axes + 1) and not (x.ndim == axes + 1 and 1 in (x.shape[0], x.shape[-1])):
        x = x.reshape(-1, 1, *x.shape[x.ndim - axes :])
    if x.ndim == axes + 1:
        x = x[None]
    if x.ndim == axes + 2 and x.shape[1] != channels and x.shape[-1] == channels:
        x = np.moveaxis(x, -1, 1)
    wrong_kind = x.dtype.kind not in ("biu" if signal.levels is not None else "biuf")
    if x.ndim != axes + 2 or x.shape[1] != channels or 0 in x.shape or wrong_kind:
        raise DataError(
            f"{path} holds {array.dtype} of shape {array.shape}; expected examples {signal.shape()} of {signal.values()}."
            f"{_advice(array, signal)}"
        )
    is_full = signal.levels == 256 and x.dtype == np.uint8  # Every value is a level.
    if signal.levels is not None and not is_full and not 0 <= int(x.min()) <= int(x.max()) < signal.levels:
        raise DataError(f"{path} has values from {x.min()} to {x.max()}; expected {signal.values()}.")
    return signal.check(torch.from_numpy(np.array(x, _NUMPY[signal.dtype], order="C")))


def _advice(array: np.ndarray, signal: Signal) -> str:
    """Advice if the array has floats but levels are expected."""
    if array.dtype.kind != "f" or signal.levels is None:
        return ""
    return " Convert it to whole numbers. Commands with --bounds LOW HIGH also take floats."


def _to_levels(array: np.ndarray, bounds: tuple[float, float], levels: int, path: Path | str) -> np.ndarray:
    """Floats in bounds as whole numbers below ``levels``."""
    low, high = bounds
    if array.size and not low <= array.min() <= array.max() <= high:  # NaN compares false, too.
        raise DataError(f"{path} has values from {array.min():g} to {array.max():g}; the bounds are {low:g} and {high:g}. Set --bounds.")
    return np.rint((array.astype(np.float64) - low) * ((levels - 1) / (high - low))).astype(np.int64)


def write_examples(path: Path, blocks: Iterable[Tensor], signal: Signal) -> None:
    """Join blocks along the last axis and write them as one array: (channels, *axes) for one example, (n, channels, *axes) for several.

    Raises:
        DataError: if the file cannot be written.
    """
    x = torch.cat(list(blocks), -1)
    write_array(path, np.ascontiguousarray((x[0] if len(x) == 1 else x).numpy()))
