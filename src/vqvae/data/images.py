"""A folder of image files as a data set."""

import dataclasses
import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Integer

from vqvae.building import check_memory
from vqvae.config import INCIDENTAL, check_at_least, settings
from vqvae.data.arrays import ArrayDataset
from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.contents import Content, check_unchanged, content_name, read_contents
from vqvae.data.files import find_files, of_kind, report_bad
from vqvae.data.sides import Item, class_names, find_sides
from vqvae.disk import atomic
from vqvae.errors import DataError
from vqvae.media.images import SUFFIXES, read_image
from vqvae.progress import tracked
from vqvae.signals import pictures

_log = logging.getLogger(__name__)

Place = tuple[float, float]
"""Where a picture is cropped, vertically and horizontally: 0 is the top or left, 1 the bottom or right."""
_CENTRE = (0.5, 0.5)
_BYTES_OF_VALUE = 4
"""Pictures are resized as pixels of four bytes, or as floats."""
_PLACES = 4
"""Number of random crops of each training picture."""
_LINE = 120
"""Maximum number of characters in a line of the log."""
_GROUP = 32
"""Images that a thread decodes at a time."""
T = TypeVar("T")
R = TypeVar("R")


@settings
class ImageFolderConfig:
    """All PNG, JPEG, WebP, BMP, TIFF, GIF and AVIF files in a folder and its sub-folders, resized to one size.

    Folders such as ``train/``, ``test/`` and ``val/`` define the sides; see ``vqvae.data.sides.find_sides``. If no folder is held out,
    5 % of the files are held out, at least one. A hash of the relative path selects them, so every machine holds out the same files.
    Hidden files, hidden folders and files with other suffixes are ignored.
    """

    path: str = dataclasses.field(metadata=INCIDENTAL | {"value": "FOLDER"})
    """The folder."""
    size: int | tuple[int, int] = dataclasses.field(metadata={"value": "N [N]"})
    """Height and width in pixels; one number for squares. The largest region with this aspect ratio is cropped and resized."""
    channels: Literal[1, 3] = 3
    """3 for RGB, 1 for greyscale."""
    levels: Literal[256, 65_536] = 256
    """256 gives uint8. 65,536 keeps 16-bit greys, as int32."""
    bounds: tuple[float, float] | None = dataclasses.field(default=None, metadata={"value": "LOW HIGH"})
    """The values of black and white in floating-point image files."""
    classes: bool | None = None
    """Whether the sub-folders are classes. Default: true if there are at least two and every picture lies in one."""
    crop: Literal["centre", "random"] = "centre"
    """Where training pictures are cropped if their aspect ratio differs from that of ``size``. "random" crops every picture at four places,
    so the training set is four times as large."""
    mirror: bool = False
    """Add a mirrored copy of every training image."""
    skip_bad: bool = dataclasses.field(default=False, metadata=INCIDENTAL)
    """Skip files that cannot be decoded, with a warning, instead of stopping."""
    memory_gib: float = dataclasses.field(default=2.0, metadata=INCIDENTAL)
    """Largest data set, in GiB, that is kept decoded in memory, both sides together. Larger sets are decoded batch by batch."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return (self.channels, *((self.size, self.size) if isinstance(self.size, int) else self.size))

    def build(self) -> Splits:
        """Find and check the files, and decode them if they fit into memory.

        Raises:
            DataError: if there are no images, or some cannot be decoded.
        """
        return _build(self)


class FileDataset(Dataset):
    """Image files that are decoded batch by batch. Only their names are kept in memory."""

    def __init__(
        self,
        files: Sequence[Path],
        size: int | tuple[int, int],
        *,
        name: str,
        labels: np.ndarray | None = None,
        label_names: tuple[str, ...] = (),
        mirror: bool = False,
        channels: int = 3,
        levels: int = 256,
        bounds: tuple[float, float] | None = None,
        places: Sequence[Place] | None = None,
    ) -> None:
        """Take files that are known to be good.

        Args:
            mirror: whether to double the set, as in ``ArrayDataset``.
            places: where each file is cropped. Default: at the centre.
        """
        self.name, self.label_names, self.signal = name, label_names, pictures(channels, levels)
        self._files, self._labels, self._mirror = tuple(files), labels, mirror
        self._places = places or [_CENTRE] * len(self._files)
        self._shape = (channels, *((size, size) if isinstance(size, int) else size))
        self._reading: dict[str, Any] = {"size": self._shape[1:], "channels": channels, "levels": levels, "bounds": bounds}

    def __len__(self) -> int:
        return len(self._files) * (2 if self._mirror else 1)

    def batch(self, indices: np.ndarray) -> Batch:
        images = np.empty((len(indices), *self._shape), _dtype(self._reading["levels"]))
        rows = indices % len(self._files) if self._mirror else indices
        for image, index, row in zip(images, indices, rows, strict=True):
            decoded = read_image(self._files[row], place=self._places[row], **self._reading)
            image[:] = decoded if index == row else decoded[..., ::-1]
        label = None if self._labels is None else torch.from_numpy(self._labels[rows])
        return Batch(torch.from_numpy(images), Condition(label=label))


class _Side(NamedTuple):
    """One side of the data set: its name, its folder, its files, and the crops that are its examples."""

    name: str
    root: Path
    items: tuple[Item, ...]
    cuts: tuple[tuple[Item, Place], ...]


def _build(config: ImageFolderConfig) -> Splits:
    root = user_path(config.path)
    check_at_least(1, "ImageFolderConfig", size=min(config.shape[1:]))
    check_memory(_BYTES_OF_VALUE * math.prod(config.shape), f"A picture of the size {config.size}")
    if not root.is_dir():
        raise DataError(f"There is no folder {root}. Give the path of a folder of images.")
    sides, label_names, words = _find(root, config)
    values = sum(len(side.cuts) for side in sides) * math.prod(config.shape)
    in_memory = values * np.dtype(_dtype(config.levels)).itemsize <= config.memory_gib * 2**30
    contents = read_contents(root, [item.file for side in sides for item in side.items])
    names = [_content_name(side, contents, bool(label_names), config) for side in sides]
    decoded = [_decode(side, config) if in_memory else _check(side, name, config) for side, name in zip(sides, names, strict=True)]
    check_unchanged(root, contents)
    bad = {str(root / file): reason for part in decoded for file, reason in part.bad.items()}
    report_bad(bad, sum(len(side.items) for side in sides), "image", config.skip_bad)
    splits = Splits(*(_dataset(*item, label_names, config) for item in zip(sides, names, decoded, strict=True)))
    for dataset in splits:
        dataset.found = words
    return splits


def _find(root: Path, config: ImageFolderConfig) -> tuple[tuple[_Side, _Side], tuple[str, ...], tuple[str, ...]]:
    """Find the files of both sides and their classes, and log them. Returns the sides, the class names and the logged lines."""
    files, ignored = of_kind(find_files(root), SUFFIXES)
    if not files:
        raise DataError(f"{root} holds no image files ({', '.join(SUFFIXES)}), nor do its sub-folders.")
    sides = find_sides(root, files)
    train, held_out = sides.split(str(root))
    label_names = class_names(root, train, held_out, config.classes)
    counts = f"{len(train):,} images to train on, {len(held_out):,} held out{f'; ignoring {ignored}' if ignored else ''}."
    colours = "grey" if config.channels == 1 else "RGB"
    classes = f"{len(label_names)} classes: {', '.join(label_names)}" if label_names else "no classes"
    shape = f"{config.shape[1]} x {config.shape[2]} pixels, {colours}, {config.levels:,} levels, {classes}."
    said = tuple(words for words in (sides.words, counts, shape) if words)
    for words in said:
        _log.info("%s", words if len(words) <= _LINE else f"{words[: _LINE - 4]} ...")
    centres = [tuple((item, _CENTRE) for item in side) for side in (train, held_out)]
    cuts = centres[0] if config.crop == "centre" else tuple((item, _place(item, number)) for number in range(_PLACES) for item in train)
    return (_Side("train", root, train, cuts), _Side("held-out", root, held_out, centres[1])), label_names, said


def _place(item: Item, number: int) -> Place:
    """One of the random places where a picture is cropped. It is the same on every machine."""
    digest = hashlib.blake2b(f"{number}/{item.inner}".encode("utf-8", "surrogateescape"), digest_size=8).digest()
    down, across = np.frombuffer(digest, "<u4") / 2**32
    return float(down), float(across)


def _content_name(side: _Side, contents: Mapping[str, Content], has_classes: bool, config: ImageFolderConfig) -> str:
    digests = [(item.inner, contents[item.file].digest if item.file in contents else None) for item in side.items]
    is_train = side.name == "train"
    facts = [digests, config.size, has_classes, config.mirror and is_train]
    # Settings at their defaults are omitted, so that the data of runs older than these settings keeps its name.
    later = {"channels": config.channels, "levels": config.levels, "bounds": config.bounds, "crop": config.crop if is_train else "centre"}
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    return content_name("images", facts + [[name, value] for name, value in later.items() if value != defaults[name]]) + f"-{side.name}"


def _dtype(levels: int) -> type[np.integer]:
    return np.uint8 if levels == 256 else np.int32


class _Decoded(NamedTuple):
    """The images of a side if they are kept in memory, and its bad files with the reasons."""

    images: Integer[np.ndarray, "cuts channels height width"] | None
    bad: dict[str, str]


def _decode(side: _Side, config: ImageFolderConfig) -> _Decoded:
    images = np.empty((len(side.cuts), *config.shape), _dtype(config.levels))

    def decode(row: int) -> str | None:
        item, place = side.cuts[row]
        try:
            images[row] = read_image(side.root / item.file, place=place, **_reading(config))
        except DataError as error:
            return str(error)
        return None

    reasons = _in_threads(decode, range(len(side.cuts)))
    return _Decoded(images, {item.file: why for (item, _), why in zip(side.cuts, reasons, strict=True) if why is not None})


def _in_threads(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """The results of ``work``, in order.

    Threads are used instead of processes because Pillow releases the interpreter lock while it decodes and resizes, and because threads
    copy nothing between processes. On two cores, threads decoded 128-pixel WebP files twice as fast as two processes. Each thread takes
    several items at a time, which is a third faster for small images.
    """
    groups = [items[first : first + _GROUP] for first in range(0, len(items), _GROUP)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = pool.map(lambda group: [work(item) for item in group], groups)
        return [result for group in tracked(done, "reading images", len(items), len) for result in group]


def _reading(config: ImageFolderConfig) -> dict[str, Any]:
    return {"size": config.shape[1:], "channels": config.channels, "levels": config.levels, "bounds": config.bounds}


def _check(side: _Side, name: str, config: ImageFolderConfig) -> _Decoded:
    """Decode every file once to find bad ones before training starts. The result is stored if all files are good."""
    record = user_cache() / "checked" / f"{name}.json"
    if record.is_file():
        return _Decoded(None, {})
    _log.info("Checking %d files in %s: too many to keep decoded, so every one is read once first.", len(side.items), side.root)

    def check(item: Item) -> str | None:
        try:
            read_image(side.root / item.file, channels=config.channels, levels=config.levels, bounds=config.bounds)
        except DataError as error:
            return str(error)
        return None

    reasons = _in_threads(check, side.items)
    bad = {item.file: reason for item, reason in zip(side.items, reasons, strict=True) if reason is not None}
    if not bad:  # A bad file may be repaired without a change in size, so only a clean result is stored.
        with atomic(record, DataError, ADVICE) as partial:
            partial.write_text(json.dumps(bad))
    return _Decoded(None, bad)


def _dataset(side: _Side, name: str, decoded: _Decoded, label_names: tuple[str, ...], config: ImageFolderConfig) -> Dataset:
    good = np.array([row for row, (item, _) in enumerate(side.cuts) if item.file not in decoded.bad], dtype=np.int64)
    if not len(good):
        raise DataError(f"No image file on the {side.name} side of {side.root} can be decoded.")
    if decoded.bad:
        name += f"-{len(side.items) - len(decoded.bad)}"
    labels = np.array([label_names.index(item.group or "") for item, _ in side.cuts], dtype=np.int64) if label_names else None
    mirror = config.mirror and side.name == "train"
    if decoded.images is not None:
        signal = pictures(config.channels, config.levels)
        return ArrayDataset(decoded.images, name=name, rows=good, labels=labels, label_names=label_names, mirror=mirror, signal=signal)
    return FileDataset(
        [side.root / side.cuts[row][0].file for row in good],
        name=name,
        labels=None if labels is None else labels[good],
        label_names=label_names,
        mirror=mirror,
        places=[side.cuts[row][1] for row in good],
        **_reading(config),
    )
