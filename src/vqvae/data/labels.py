"""Labels of arrays, integers or words, as indices into names."""

from collections.abc import Sequence

import numpy as np

from vqvae.errors import DataError
from vqvae.media.arrays import StoredArray

MAX_LABELS = 2**16


def numbered(sides: Sequence[StoredArray | None], counts: Sequence[int]) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """The labels of each side as indices (n,), and their names.

    Integers below 65,536 stay the same. Larger integers, and words, are numbered in sorted order.

    Raises:
        DataError: if labels are neither integers from 0 nor words, there is not one per example, or more than 65,536 differ.
    """
    read = [None if side is None else _read(side, count) for side, count in zip(sides, counts, strict=True)]
    there = [labels for labels in read if labels is not None]
    if not there:
        return read, ()
    kinds = {labels.dtype.kind for labels in there}
    if len(kinds) > 1 and "U" in kinds:
        raise DataError("The labels of one side are words and those of the other are numbers; give both the same kind.")
    if "U" not in kinds and max(int(labels.max()) for labels in there) < MAX_LABELS:
        return [None if labels is None else labels.astype(np.int64) for labels in read], tuple(
            str(label) for label in range(max(int(labels.max()) for labels in there) + 1)
        )
    names = np.unique(np.concatenate([np.unique(labels) for labels in there]))
    if len(names) > MAX_LABELS:
        raise DataError(f"There are {len(names)} different labels; at most {MAX_LABELS} are possible. Remove the labels from the file.")
    found = [None if labels is None else np.searchsorted(names, labels).astype(np.int64) for labels in read]
    return found, tuple(str(name) for name in names)


def _read(array: StoredArray, count: int) -> np.ndarray:
    """The labels of one side, (n,)."""
    where = f"{array.path}, array {array.name!r}, is {array.dtype} with shape {array.shape}"
    shape = array.shape[:1] if array.shape[1:] == (1,) else array.shape
    if shape != (count,) or array.dtype.kind not in "biuUS":
        raise DataError(f"{where}; it must be integers from 0 with shape ({count},), or words.")
    labels = array.read().reshape(count)
    if array.dtype.kind == "S":
        return np.char.decode(labels, "utf-8", "replace")
    if array.dtype.kind in "biu" and labels.min() < 0:
        raise DataError(f"{where} and has labels below 0; it must be integers from 0 with shape ({count},), or words.")
    return labels
