"""Files of arrays: what data of any kind is written to and read from where it has no format of its own."""

from pathlib import Path

import numpy as np

from vqvae.disk import atomic
from vqvae.errors import DataError

SUFFIXES = (".npy",)


def read_array(path: Path) -> np.ndarray:
    """One array.

    Raises:
        DataError: the file cannot be read, or holds Python objects.
    """
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # numpy raises many kinds; all of them mean a file that is not what its name says.
        raise DataError(f"{path} cannot be read: {error}. Write it with numpy.save, without Python objects.") from error


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array, whole or not at all.

    Raises:
        DataError: the place cannot be written.
    """
    with atomic(path, DataError, "Choose another place.") as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)
