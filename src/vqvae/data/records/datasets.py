"""The examples of a data set, or the rows of an array file, as records."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vqvae.data.base import Dataset
from vqvae.data.records.base import BadRecord, Facts, Record, Records, digest_of
from vqvae.errors import ConfigError, DataError, VqvaeError
from vqvae.media.arrays import open_arrays, read_array

SIDES = ("train", "held-out")
_AT_ONCE = 16


class DatasetRecords(Records):
    """Each example of one side is an item. Its id is the side and its number, ``train/17``. Examples do not overlap."""

    def __init__(self, config: Any, side: str = "train") -> None:
        """Build the data set.

        Args:
            config: the settings of a data set. Each process builds it for itself.
            side: "train" or "held-out".

        Raises:
            ConfigError: if there is no such side.
            DataError: if the data cannot be read.
        """
        if side not in SIDES:
            raise ConfigError(f"The side is {side!r}; 'train' or 'held-out' is expected.")
        self._config, self._side = config, side
        data = self._dataset
        names, actions = data.label_names, data.action_names
        digest = digest_of([data.name, side, len(data)])
        self.facts = Facts("examples", digest, len(data), "int" if names else "", names, actions, bool(actions))

    @cached_property
    def _dataset(self) -> Dataset:
        return self._config.build()[SIDES.index(self._side)].apart()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_dataset"}

    def read(self, start: int, stop: int) -> Iterator[Record | BadRecord]:
        for first in range(start, stop, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, stop))
            try:
                yield from self._records(numbers)
            except VqvaeError:
                # One of them is bad.
                for number in numbers:
                    try:
                        yield from self._records(range(number, number + 1))
                    except VqvaeError as error:
                        yield BadRecord(f"{self._side}/{number}", str(error))

    def _records(self, numbers: range) -> list[Record]:
        batch = self._dataset.batch(np.array(numbers))
        found = []
        for row, number in enumerate(numbers):
            x = batch.x[row]
            if batch.mask is not None:  # Padding is at the end of the last axis.
                mask = batch.mask[row]
                x = x[..., : int(mask.reshape(-1, mask.shape[-1]).any(0).sum())]
            label, actions = batch.condition.label, batch.condition.actions
            taken = None if actions is None else tuple(actions[row].tolist())
            found.append(Record(f"{self._side}/{number}", x, None if label is None else int(label[row]), taken))
        return found


class ArrayRecords(Records):
    """Each row of the one array in a .npy or .npz file is an item. Its id is the file and the number of the row, ``x.npy#17``."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            DataError: if the file cannot be read, or its array has no rows.
        """
        self._path = path
        array = read_array(path)
        self._is_mapped = all(one.offset is not None for one in open_arrays(path).values())
        if array.ndim < 2:
            raise DataError(f"{path} holds an array of the shape {array.shape}; rows of examples are expected.")
        about = [path.name, path.stat().st_size, list(array.shape), str(array.dtype)]
        self.facts = Facts("rows of an array", digest_of(about), len(array))

    @cached_property
    def _unpacked(self) -> np.ndarray:
        return read_array(self._path)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_unpacked"}

    def read(self, start: int, stop: int) -> Iterator[Record]:
        # Pages of a mapped file stay in memory until it is closed, so it is mapped again.
        array = read_array(self._path) if self._is_mapped else self._unpacked
        return (Record(f"{self._path.name}#{number}", array[number]) for number in range(start, stop))
