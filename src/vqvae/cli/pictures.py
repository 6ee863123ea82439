"""Writing images where a path's suffix says how."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from vqvae.disk import atomic
from vqvae.errors import ConfigError, DataError
from vqvae.reports.grids import grid, save_png


def check_suffix(path: Path) -> None:
    """Raise ConfigError unless ``write_images`` knows the suffix: before the work, not after it."""
    if path.suffix not in ("", ".png", ".npy"):
        raise ConfigError(f"{path} ends in '{path.suffix}'; NAME.png, NAME.npy or the name of a folder (no suffix) is expected.")


def write_images(images: UInt8[Tensor, "n channels height width"], path: Path, names: Sequence[str]) -> None:
    """Write images as one picture (.png), one array (.npy), or a folder of PNG files with these names.

    Raises:
        ConfigError: another suffix.
        DataError: the place cannot be written.
    """
    check_suffix(path)
    try:
        if path.suffix == ".png":
            save_png(path, grid(images, columns=max(1, int(len(images) ** 0.5))))
        elif path.suffix == ".npy":
            with atomic(path) as partial, partial.open("wb") as file:
                np.save(file, images.numpy(), allow_pickle=False)
        else:
            for name, image in zip(names, images, strict=True):
                save_png(path / f"{name}.png", grid(image[None], columns=1))
    except OSError as error:
        raise DataError(f"{path} could not be written ({error}). Choose another place.") from error
