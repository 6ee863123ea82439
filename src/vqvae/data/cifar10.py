"""CIFAR-10 in its official binary layout: https://www.cs.toronto.edu/~kriz/cifar.html."""

import dataclasses
from pathlib import Path

import numpy as np

from vqvae.config import INCIDENTAL, settings
from vqvae.data.arrays import ArrayDataset
from vqvae.data.base import Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.download import download, extract
from vqvae.disk import atomic_folder, exists, locked
from vqvae.errors import DataError

_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_CHECKSUM = "md5:c32a1d4ab5d03f1284b67883e8d87530"  # The publisher gives an MD5 checksum.
_FOLDER = "cifar-10-batches-bin"
_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_HELD_OUT_FILE = "test_batch.bin"
_IMAGES_PER_FILE = 10_000
_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@settings
class Cifar10Config:
    """50,000 images of 32 by 32 pixels in ten classes. The official test batch of 10,000 images is held out."""

    path: str | None = dataclasses.field(default=None, metadata=INCIDENTAL | {"value": "FOLDER"})
    """The folder cifar-10-batches-bin, or the folder that contains it. If omitted, the data is downloaded once (170 MB)."""

    def build(self) -> Splits:
        """Read the six files. Download them first if there is no path."""
        return _build(self)


def _build(config: Cifar10Config) -> Splits:
    folder = _downloaded() if config.path is None else _given(user_path(config.path))
    parts = [_read(folder / file) for file in _FILES]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    held_out_images, held_out_labels = _read(folder / _HELD_OUT_FILE)
    splits = Splits(
        ArrayDataset(images, name="cifar10-train", labels=labels, label_names=_LABELS),
        ArrayDataset(held_out_images, name="cifar10-held-out", labels=held_out_labels, label_names=_LABELS),
    )
    return splits.say("Images of CIFAR-10, 32 x 32 pixels, RGB, 10 classes")


def _given(path: Path) -> Path:
    for folder in (path, path / _FOLDER):
        if (folder / _HELD_OUT_FILE).is_file():
            return folder
    raise DataError(
        f"{path} holds neither {_HELD_OUT_FILE} nor a folder {_FOLDER}. Give the folder of the unpacked 'binary version' of CIFAR-10, "
        f"or omit the path to download it."
    )


def _downloaded() -> Path:
    target = user_cache() / "cifar10"
    if not exists(target):
        with locked(target, DataError, ADVICE):
            if not target.is_dir():
                archive = user_cache() / "cifar-10-binary.tar.gz"
                download(_URL, archive, checksum=_CHECKSUM)
                with atomic_folder(target, DataError, ADVICE) as partial:
                    extract(archive, partial)
                archive.unlink()
    return _given(target)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) and labels (n,). Each record is one byte for the label and 3072 for the pixels, channels first."""
    if not path.is_file():
        raise DataError(f"{path} is missing: the data set has six files. Unpack the archive again.")
    expected = _IMAGES_PER_FILE * (1 + 3 * 32 * 32)
    if path.stat().st_size != expected:
        raise DataError(
            f"{path} has {path.stat().st_size} bytes; expected {expected}. It is cut short or another version. Unpack it again."
        )
    records = np.fromfile(path, np.uint8).reshape(_IMAGES_PER_FILE, -1)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(_LABELS):
        raise DataError(f"{path} has the label {labels.max()}; labels go from 0 to 9. It is damaged. Unpack it again.")
    return records[:, 1:].reshape(-1, 3, 32, 32), labels
