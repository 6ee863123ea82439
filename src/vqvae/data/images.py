"""A folder of image files as a data set."""

import dataclasses
import json
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8

from vqvae.config import INCIDENTAL, check_at_least, settings
from vqvae.data.arrays import ArrayDataset
from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.contents import Content, check_unchanged, content_name, read_contents
from vqvae.data.files import find_files, report_bad
from vqvae.data.split import split_of_any_size
from vqvae.disk import atomic
from vqvae.errors import DataError
from vqvae.media.images import SUFFIXES, read_image
from vqvae.signals import pictures

_log = logging.getLogger(__name__)


@settings
class ImageFolderConfig:
    """Every PNG, JPEG, WebP and BMP file in a folder and its sub-folders, as squares of RGB bytes.

    If ``train/`` stands beside ``val/``, ``valid/``, ``validation/``, ``dev/``, ``eval/`` or ``test/``, in any case, the first of these
    is held out and other folders are ignored. Otherwise 5 % of the files, at least one, are held out by a hash of the relative path:
    it does not depend on the machine. Hidden files and folders, and files with other suffixes, are ignored.
    """

    path: str = dataclasses.field(metadata=INCIDENTAL)
    """The folder."""
    size: int
    """Height and width in pixels: the shorter side is resized to it and the centre kept."""
    classes: bool = False
    """Whether the sub-folders are classes."""
    mirror: bool = False
    """Add a mirrored copy of every training image."""
    skip_bad: bool = dataclasses.field(default=False, metadata=INCIDENTAL)
    """List files that cannot be decoded and go on without them, instead of stopping."""
    memory_gib: float = dataclasses.field(default=2.0, metadata=INCIDENTAL)
    """Images are kept decoded up to this size (train and held out together); above it every batch is decoded anew."""

    def build(self) -> Splits:
        """Find, check and, where they fit into memory, decode the files."""
        return _build(self)


_HELD_OUT = ("val", "valid", "validation", "dev", "eval", "test")
"""Folders that are held out, in any case; the first of these that is there."""


class FileDataset(Dataset):
    """Image files that are decoded batch by batch. Nothing is kept in memory but their names."""

    def __init__(
        self,
        files: Sequence[Path],
        size: int,
        *,
        name: str,
        labels: np.ndarray | None = None,
        label_names: tuple[str, ...] = (),
        mirror: bool = False,
    ) -> None:
        """Take files that are known to be good; ``mirror`` doubles the set as in ``ArrayDataset``."""
        self.name, self.label_names, self.signal = name, label_names, pictures()
        self._files, self._size, self._labels, self._mirror = tuple(files), size, labels, mirror

    def __len__(self) -> int:
        return len(self._files) * (2 if self._mirror else 1)

    def batch(self, indices: np.ndarray) -> Batch:
        images = np.empty((len(indices), 3, self._size, self._size), np.uint8)
        rows = indices % len(self._files) if self._mirror else indices
        for image, index, row in zip(images, indices, rows, strict=True):
            decoded = read_image(self._files[row], self._size)
            image[:] = decoded if index == row else decoded[..., ::-1]
        label = None if self._labels is None else torch.from_numpy(self._labels[rows])
        return Batch(torch.from_numpy(images), Condition(label=label))


class _Side(NamedTuple):
    """One side of the split: its name, its files relative to the root, and where labels start in those paths."""

    name: str
    root: Path
    files: tuple[str, ...]


def _build(config: ImageFolderConfig) -> Splits:
    root = user_path(config.path)
    check_at_least(1, config, "size")
    if not root.is_dir():
        raise DataError(f"There is no folder {root}. Give the path of a folder of images.")
    sides = _sides(root)
    label_names = _classes(sides) if config.classes else ()
    in_memory = sum(len(side.files) for side in sides) * 3 * config.size**2 <= config.memory_gib * 2**30
    contents = [read_contents(side.root, side.files) for side in sides]
    names = [_content_name(side, known, config) for side, known in zip(sides, contents, strict=True)]
    decoded = (
        [_decode(side, config.size) for side in sides]
        if in_memory
        else [_check(side, name) for side, name in zip(sides, names, strict=True)]
    )
    for side, known in zip(sides, contents, strict=True):
        check_unchanged(side.root, known)
    bad = {str(side.root / file): reason for side, part in zip(sides, decoded, strict=True) for file, reason in part.bad.items()}
    report_bad(bad, sum(len(side.files) for side in sides), "image", config.skip_bad)
    return Splits(*(_dataset(*item, label_names, config) for item in zip(sides, names, decoded, strict=True)))


def _sides(root: Path) -> tuple[_Side, _Side]:
    folders = {path.name.casefold(): path for path in sorted(root.iterdir()) if path.is_dir()}
    other = next((name for name in _HELD_OUT if name in folders), None)
    if other is not None:
        if "train" not in folders:
            raise DataError(f"{root} has a folder {other}/ but no train/ beside it. Move the images to train on into {root / 'train'}.")
        _log.info("Training on %s, holding out %s; other folders are ignored.", folders["train"].name, folders[other].name)
        train, held_out = (
            _Side(name, folders[place], tuple(find_files(folders[place], SUFFIXES))) for name, place in (("train", "train"), ("val", other))
        )
        for side in (train, held_out):
            if not side.files:
                raise DataError(f"{side.root} holds no image files ({', '.join(SUFFIXES)}).")
        return train, held_out
    files = tuple(find_files(root, SUFFIXES))
    if not files:
        raise DataError(f"{root} holds no image files ({', '.join(SUFFIXES)}), nor do its sub-folders.")
    train_rows, held_out_rows = split_of_any_size(files, str(root))
    return _Side("train", root, tuple(files[row] for row in train_rows)), _Side(
        "held-out", root, tuple(files[row] for row in held_out_rows)
    )


def _classes(sides: tuple[_Side, _Side]) -> tuple[str, ...]:
    train, held_out = ({_class(side, file) for file in side.files} for side in sides)
    if held_out - train:
        raise DataError(f"The classes {sorted(held_out - train)[:5]} have held-out images but none to train on.")
    return tuple(sorted(train))


def _class(side: _Side, file: str) -> str:
    name, slash, _ = file.partition("/")
    if not slash:
        raise DataError(f"{side.root / file} lies in no sub-folder, so it has no class. Move it into one, or set classes to false.")
    return name


def _content_name(side: _Side, contents: Mapping[str, Content], config: ImageFolderConfig) -> str:
    digests = [(file, contents[file].digest if file in contents else None) for file in side.files]
    return content_name("images", [digests, config.size, config.classes, config.mirror and side.name == "train"]) + f"-{side.name}"


class _Decoded(NamedTuple):
    """What decoding a side gave: its images, where they were kept, and the files that are bad, with the reason."""

    images: UInt8[np.ndarray, "files 3 size size"] | None
    bad: dict[str, str]


def _decode(side: _Side, size: int) -> _Decoded:
    images = np.empty((len(side.files), 3, size, size), np.uint8)

    def decode(row: int) -> str | None:
        try:
            images[row] = read_image(side.root / side.files[row], size)
        except DataError as error:
            return str(error)
        return None

    # Threads, not processes: Pillow releases the interpreter's lock while it decodes and resizes, and nothing has to be copied
    # from process to process. On two cores threads decoded 128-pixel WebP files twice as fast as two processes did.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = pool.map(decode, range(len(side.files)))
        return _Decoded(images, {file: reason for file, reason in zip(side.files, reasons, strict=True) if reason is not None})


def _check(side: _Side, name: str) -> _Decoded:
    """Decode every file once, to find the bad ones before training starts; what was found is kept for the next time."""
    record = user_cache() / "checked" / f"{name}.json"
    if record.is_file():
        return _Decoded(None, json.loads(record.read_text()))
    _log.info("Checking %d files in %s: too many to keep decoded, so every one is read once first.", len(side.files), side.root)

    def check(file: str) -> str | None:
        try:
            read_image(side.root / file)
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = pool.map(check, side.files)
        bad = {file: reason for file, reason in zip(side.files, reasons, strict=True) if reason is not None}
    if not bad:  # A bad file may be mended without a change of its size, so only a clean result is kept.
        with atomic(record, DataError, ADVICE) as partial:
            partial.write_text(json.dumps(bad))
    return _Decoded(None, bad)


def _dataset(side: _Side, name: str, decoded: _Decoded, label_names: tuple[str, ...], config: ImageFolderConfig) -> Dataset:
    good = np.array([row for row, file in enumerate(side.files) if file not in decoded.bad], dtype=np.int64)
    if not len(good):
        raise DataError(f"No image file on the {side.name} side of {side.root} can be decoded.")
    if decoded.bad:
        name += f"-{len(good)}"
    labels = np.array([label_names.index(_class(side, file)) for file in side.files], dtype=np.int64) if label_names else None
    mirror = config.mirror and side.name == "train"
    if decoded.images is not None:
        return ArrayDataset(decoded.images, name=name, rows=good, labels=labels, label_names=label_names, mirror=mirror)
    files = [side.root / side.files[row] for row in good]
    return FileDataset(
        files, config.size, name=name, labels=None if labels is None else labels[good], label_names=label_names, mirror=mirror
    )
