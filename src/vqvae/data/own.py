"""Your own data as a data set: arrays, tensors, and PyTorch or Hugging Face data sets."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.data.split import split_of_any_size
from vqvae.errors import ConfigError, DataError
from vqvae.signals import AXES, Signal, pictures

_NUMPY = {torch.uint8: np.uint8, torch.int32: np.int32, torch.float32: np.float32}
_SCANNED = 2**20
"""Maximum number of bytes of an item that are hashed into the name of its data set."""


@runtime_checkable
class HasBatches(Protocol):
    """The minimum interface of a data set: its length, examples by index, and their signal."""

    signal: Signal

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray) -> Batch: ...


@runtime_checkable
class HasItems(Protocol):
    """A PyTorch or Hugging Face data set: items by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any) -> Any: ...


class OwnDataset(Dataset):
    """Any object with ``__len__``, ``batch(indices)`` and ``signal``."""

    def __init__(self, data: HasBatches) -> None:
        self._data, self.signal = data, data.signal
        self.name = str(getattr(data, "name", "") or f"{type(data).__name__}-{len(data)}")
        self.label_names = tuple(getattr(data, "label_names", ()))
        self.action_names = tuple(getattr(data, "action_names", ()))

    def __len__(self) -> int:
        return len(self._data)

    def batch(self, indices: np.ndarray) -> Batch:
        found = self._data.batch(indices)
        batch = found if isinstance(found, Batch) else Batch(found)
        if len(batch.x) != len(indices):
            raise DataError(f"{self.name}: batch() gave {len(batch.x)} examples for {len(indices)} indices; expected one per index.")
        x = self.signal.check(batch.x)
        return batch._replace(x=x.to(self.signal.dtype) if x.is_floating_point() else x)


class ItemsDataset(Dataset):
    """Items that are read one at a time: arrays, tensors or pictures.

    An item is the data alone, a tuple that starts with the data, or a dictionary. Labels are optional.
    """

    def __init__(
        self,
        items: HasItems,
        *,
        signal: Signal | None = None,
        column: str | None = None,
        label_column: str | None = None,
        label_names: tuple[str, ...] = (),
    ) -> None:
        """Infer the kind of data from the first item.

        Args:
            signal: the signal of the items. Default: inferred from the first item.
            column: the key of the data if items are dictionaries. Default: the first key with an array or a picture.
            label_column: the key of the label if items are dictionaries. Default: the first column of class labels. In a tuple, the label
                is the second entry.
            label_names: names of the labels. Default: the names in the column of class labels. Without names, labels are not used.

        Raises:
            DataError: if there are no items, or they hold no data.
        """
        if not len(items):
            raise DataError(f"{type(items).__name__} has no items.")
        named = {key: tuple(kind.names) for key, kind in (getattr(items, "features", None) or {}).items() if hasattr(kind, "names")}
        self._items, self._column, self._label_column = items, column, label_column or next(iter(named), None)
        first = items[0]
        if isinstance(first, dict) and column is None:
            self._column = next((key for key, value in first.items() if _to_array(value) is not None), None)
        x = self._data_of(first)
        self.signal = signal or _signal_of(x[None])
        self.label_names = label_names or named.get(self._label_column or "", ())
        digest = hashlib.blake2b(digest_size=8)
        for index in sorted({0, len(items) // 2, len(items) - 1}):  # All items together may not fit into memory.
            digest.update(self._data_of(items[index]).tobytes()[:_SCANNED])
        self.name = f"{type(items).__name__.lower()}-{len(items)}-{digest.hexdigest()}"

    def __len__(self) -> int:
        return len(self._items)

    def batch(self, indices: np.ndarray) -> Batch:
        items = [self._items[int(index)] for index in indices]
        arrays = [self._data_of(item) for item in items]
        if len({array.shape for array in arrays}) > 1:
            raise DataError(f"{self.name} has items of the shapes {sorted({a.shape for a in arrays})[:4]}; give all of them one shape.")
        x = _raw(np.stack(arrays), self.signal)
        label = torch.tensor([self._label_of(item) for item in items]) if self.label_names else None
        return Batch(x, Condition(label=label))

    def _data_of(self, item: Any) -> np.ndarray:
        value = item[self._column] if isinstance(item, dict) and self._column is not None else item[0] if isinstance(item, tuple) else item
        array = _to_array(value)
        if array is None:
            raise DataError(
                f"An item of {type(self._items).__name__} holds a {type(value).__name__}; an array, a tensor or a picture is expected. Of "
                "dictionaries, name the key: column='image'."
            )
        return array

    def _label_of(self, item: Any) -> int:
        label = item[self._label_column] if isinstance(item, dict) else item[1]
        if not isinstance(label, (int, np.integer, Tensor)) or not 0 <= int(label) < len(self.label_names):
            raise DataError(f"{self.name} has the label {label!r}; a whole number from 0 to {len(self.label_names) - 1} is expected.")
        return int(label)


class TensorDataset(Dataset):
    """One array that holds all examples, (n, channels, *axes)."""

    def __init__(self, data: np.ndarray, signal: Signal, name: str, rows: np.ndarray) -> None:
        self._data, self.signal, self.name, self._rows = data, signal, name, rows

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(_raw(self._data[self._rows[indices]], self.signal))


def splits_of(data: Any, *, held_out: Any = None, signal: Signal | None = None) -> Splits:
    """Turn your own data into a training side and a held-out side.

    Args:
        data: settings of a data set, ``Splits``, a ``Dataset``, any object with ``__len__``, ``batch(indices)`` and ``signal``, a numpy
            array or a tensor (n, channels, *axes), or a PyTorch or Hugging Face data set.
        held_out: the held-out data, in any of these forms except settings and ``Splits``. Default: 5 % of ``data``, selected by a hash
            of the example's number.
        signal: the signal of arrays and items. Default: inferred from them.

    Raises:
        ConfigError: if the object is not data, or if ``held_out`` or ``signal`` is given with settings or ``Splits``, which have both.
        DataError: if the signal cannot be inferred, or there are too few examples.
    """
    if isinstance(data, Splits) or hasattr(data, "build"):
        if held_out is not None or signal is not None:
            raise ConfigError(f"{type(data).__name__} already has a held-out side and a signal. Omit held_out= and signal=.")
        return data if isinstance(data, Splits) else data.build()
    if held_out is not None:
        train = dataset_of(data, signal)
        both = Splits(train, dataset_of(held_out, signal or train.signal))
        if not len(both.held_out):
            raise DataError(f"{both.held_out.name} is held out, and has no examples.")
        return both
    whole = dataset_of(data, signal)
    rows = split_of_any_size([str(row) for row in range(len(whole))], whole.name)
    return Splits(*(Subset(whole, part, side) for part, side in zip(rows, ("train", "held-out"), strict=True)))


def dataset_of(data: Any, signal: Signal | None = None) -> Dataset:
    """Turn data into one data set. It takes the same forms as ``splits_of``, except settings and ``Splits``.

    Raises:
        ConfigError: if the object is not data.
        DataError: if there are no items, or the signal cannot be inferred.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, (Mapping, np.ma.MaskedArray)):
        raise ConfigError(f"Data came as {type(data).__name__}; give the array alone, without names or masks.")
    if isinstance(data, HasBatches):
        return OwnDataset(data)
    if isinstance(data, (np.ndarray, Tensor)):
        array = _numpy(data) if isinstance(data, Tensor) else data
        if array.ndim < 3 and signal is None:
            raise DataError(
                f"The array has the shape {array.shape}; (n, channels, *axes) is expected. Add the axis of channels: x[:, None]."
            )
        found = signal or _signal_of(array)
        digest = hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=8).hexdigest()
        return TensorDataset(array, found, f"array-{digest}", np.arange(len(array)))
    if isinstance(data, HasItems):
        return ItemsDataset(data, signal=signal)
    raise ConfigError(
        f"Data came as {type(data).__name__}; settings such as ArrayConfig, an array, a tensor, a data set of PyTorch or Hugging Face, or "
        "an object with __len__, batch(indices) and signal is expected."
    )


class Subset(Dataset):
    """Some of the examples of a data set."""

    def __init__(self, whole: Dataset, rows: np.ndarray, side: str) -> None:
        self._whole, self._rows = whole, rows
        self.name, self.signal = f"{whole.name}-{side}", whole.signal
        self.label_names, self.action_names = whole.label_names, whole.action_names

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: np.ndarray) -> Batch:
        return self._whole.batch(self._rows[indices])


def _to_array(value: Any) -> np.ndarray | None:
    """An item's data as (channels, *axes); None if it cannot be data."""
    if isinstance(value, Tensor):
        return _numpy(value)
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "mode") and hasattr(value, "size"):  # A Pillow image: (height, width) or (height, width, channels).
        pixels = np.asarray(value)
        return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and len(value):
        array = np.asarray(value)
        return array if array.dtype.kind in "fiu" and array.ndim > 1 else None
    return None


def _numpy(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _raw(array: np.ndarray, signal: Signal) -> Tensor:
    """Examples as a tensor of the signal's type.

    Raises:
        DataError: if the data does not fit the signal. The check comes before the cast, which would wrap levels and truncate floats.
    """
    kinds = "iub" if signal.levels is not None else "fiub"
    levels = signal.levels
    beyond = levels is not None and array.dtype.kind in kinds and array.size > 0 and not 0 <= int(array.min()) <= int(array.max()) < levels
    if beyond or array.dtype.kind not in kinds:
        ends = f" from {array.min()} to {array.max()}" if array.size and array.dtype.kind in "fiub" else ""
        raise DataError(f"Data came as {array.dtype}{ends}; expected {signal.values()}, {signal.shape()}. For other data, give signal=.")
    return signal.check(torch.from_numpy(np.ascontiguousarray(array, _NUMPY[signal.dtype])))


def _signal_of(array: np.ndarray) -> Signal:
    """The signal of examples (n, channels, *axes).

    uint8 with two axes means pictures. Other integers have levels; floats have none.

    Raises:
        DataError: if pictures have their channels last, integers are negative, or the data is of another type.
    """
    axes = AXES.get(array.ndim - 2) or tuple(f"axis {number}" for number in range(array.ndim - 2))
    if array.dtype == np.uint8 and len(axes) == 2:
        if array.shape[1] > 4 >= array.shape[-1]:
            raise DataError(f"Pictures came in the shape {array.shape}; (n, channels, height, width) is expected: x.transpose(0, 3, 1, 2).")
        return pictures(array.shape[1])
    if array.dtype.kind == "f":
        return Signal(axes=axes, channels=array.shape[1])
    if array.dtype.kind in "iu" and array.min(initial=0) >= 0:
        levels = 256 if array.dtype == np.uint8 else int(array.max(initial=1)) + 1
        return Signal(axes=axes, channels=array.shape[1], levels=max(levels, 2))
    ends = f" from {array.min()}" if array.dtype.kind in "iu" else ""
    raise DataError(f"Data is {array.dtype}{ends}; expected integers from 0 up, or floats.")
