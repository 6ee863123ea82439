"""Images that are kept decoded in memory, and sets of them that come as .npy or .npz files."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int, Shaped

from vqvae.config import INCIDENTAL, settings
from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.data.cache import user_path
from vqvae.data.split import split_by_hash
from vqvae.errors import DataError
from vqvae.signals import Signal, pictures

Layout = Literal["auto", "channels_first", "channels_last"]


class ArrayDataset(Dataset):
    """Images in memory (or in a memory-mapped file), with labels or actions where there are some.

    A batch is ``x`` uint8 (batch, channels, height, width), ``condition.label`` int64 (batch,) or None, and
    ``condition.actions`` int64 (batch, 1) or None. With ``mirror`` the set is twice as long: the second half is the first, left and
    right exchanged.
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
    ) -> None:
        """Keep a reference to the arrays; ``rows`` picks and orders examples without copying them."""
        self.signal = signal or pictures(images.shape[3 if channels_last else 1])
        self.name, self.label_names, self.action_names = name, label_names, action_names
        # A view without numpy's memmap class, which take() would carry into every batch.
        self._images, self._labels, self._actions = np.asarray(images), labels, actions
        self._rows = np.arange(len(images)) if rows is None else rows
        self._channels_last, self._mirror = channels_last, mirror

    def __len__(self) -> int:
        return len(self._rows) * (2 if self._mirror else 1)

    def batch(self, indices: np.ndarray) -> Batch:
        rows = self._rows[indices % len(self._rows) if self._mirror else indices]
        images = self._images.take(rows, axis=0)
        if self._channels_last:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        if self._mirror:
            mirrored = indices >= len(self._rows)
            images[mirrored] = images[mirrored][..., ::-1]
        label = None if self._labels is None else torch.from_numpy(self._labels[rows].astype(np.int64))
        actions = None if self._actions is None else torch.from_numpy(self._actions[rows].astype(np.int64)[:, None])
        return Batch(torch.from_numpy(images), Condition(label=label, actions=actions))


@settings
class ArrayConfig:
    """Images in a .npy or .npz file: uint8 (n, h, w), (n, h, w, c) or (n, c, h, w), c from 1 to 4.

    What an .npz may hold: ``x_train`` with ``x_val`` (or ``x_test``), each with ``y_...`` where there are labels; or ``x`` with an
    optional ``y``; or one array of any name. Where the file does not say what is held out, it is 5 % of the rows, by a hash of
    the row's number.
    """

    path: str = dataclasses.field(metadata=INCIDENTAL)
    """The .npy or .npz file."""
    layout: Layout = "auto"
    """Where the channels are; auto takes the axis that is 4 or shorter, and asks where both or neither are."""
    mirror: bool = False
    """Add a mirrored copy of every training image."""

    def build(self) -> Splits:
        """Open the file (a .npy is memory-mapped) and split it."""
        return _build(self)


def _build(config: ArrayConfig) -> Splits:
    path = user_path(config.path)
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a .npy or .npz file.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    name = f"array-{path.stem}-{digest}-{config.layout}"
    arrays = _read(path)
    train, held_out = _pair(arrays, path)
    mirror = "-mirror" if config.mirror else ""
    if held_out is not None:
        sides = [_images(arrays, key, config.layout, path) for key in (train, held_out)]
        if sides[0][0].shape[1:] != sides[1][0].shape[1:]:
            raise DataError(
                f"{path}: {train} and {held_out} have images of unequal shape: {sides[0][0].shape[1:]} and {sides[1][0].shape[1:]}."
            )
        labels = [_labels(arrays, key, path) for key in (train, held_out)]
        names = _label_names(labels)
        (x, last), (x_held_out, last_held_out) = sides
        return Splits(
            ArrayDataset(x, name=f"{name}-train{mirror}", channels_last=last, labels=labels[0], label_names=names, mirror=config.mirror),
            ArrayDataset(x_held_out, name=f"{name}-held-out", channels_last=last_held_out, labels=labels[1], label_names=names),
        )
    x, last = _images(arrays, train, config.layout, path)
    y = _labels(arrays, train, path)
    rows, held_out_rows = split_by_hash(map(str, range(len(x))), str(path))
    names = _label_names([y])
    return Splits(
        ArrayDataset(x, name=f"{name}-train{mirror}", rows=rows, channels_last=last, labels=y, label_names=names, mirror=config.mirror),
        ArrayDataset(x, name=f"{name}-held-out", rows=held_out_rows, channels_last=last, labels=y, label_names=names),
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        if path.suffix == ".npy":
            return {"x": np.load(path, mmap_mode="r", allow_pickle=False)}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
    except Exception as error:  # zipfile and numpy raise many kinds; all of them mean a file that is not what its name says.
        raise DataError(f"{path} cannot be read: {error}. Write it with numpy.save or numpy.savez, without Python objects.") from error
    raise DataError(f"{path} is neither .npy nor .npz.")


def _pair(arrays: dict[str, np.ndarray], path: Path) -> tuple[str, str | None]:
    """The key of the images to train on and, where the file has them apart, of those held out."""
    if "x_train" in arrays:
        held_out = next((key for key in ("x_val", "x_test") if key in arrays), None)
        if held_out is None:
            raise DataError(f"{path} has x_train but neither x_val nor x_test; it has {sorted(arrays)}.")
        return "x_train", held_out
    if "x" in arrays:
        return "x", None
    if len(arrays) == 1:
        return next(iter(arrays)), None
    raise DataError(f"{path} has the arrays {sorted(arrays)}; name them x_train and x_val, or x, with y_... for labels.")


def _images(arrays: dict[str, np.ndarray], key: str, layout: Layout, path: Path) -> tuple[np.ndarray, bool]:
    """The images with four axes, and whether the channels come last."""
    array, where = arrays[key], f"{path}, array {key!r},"
    if array.dtype != np.uint8 or array.ndim not in (3, 4):
        raise DataError(f"{where} is {array.dtype} with shape {array.shape}; it must be uint8 (n, h, w), (n, h, w, c) or (n, c, h, w).")
    if 0 in array.shape:
        raise DataError(f"{where} has shape {array.shape}: there is nothing in it.")
    if array.ndim == 3:
        return array[:, None], False
    if layout == "auto":
        first, last = array.shape[1] <= 4, array.shape[3] <= 4
        if first == last:
            raise DataError(f"{where} has shape {array.shape}, which does not show where the channels are; set layout.")
        return array, last
    return array, layout == "channels_last"


def _labels(arrays: dict[str, np.ndarray], key: str, path: Path) -> np.ndarray | None:
    images, name = arrays[key], key.replace("x", "y", 1)
    if not key.startswith("x") or name not in arrays:
        return None
    labels = arrays[name]
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise DataError(
            f"{path}, array {name!r}, is {labels.dtype} with shape {labels.shape}; it must be integers from 0 with shape ({len(images)},)."
        )
    return labels


def _label_names(labels: list[np.ndarray | None]) -> tuple[str, ...]:
    count = max((int(part.max()) + 1 for part in labels if part is not None), default=0)
    return tuple(str(label) for label in range(count))
