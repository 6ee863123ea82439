"""Array files (.npy and .npz): header first, then limits, then data. Nothing is unpickled."""

import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vqvae.disk import atomic
from vqvae.errors import DataError

SUFFIXES = (".npy",)
"""Suffixes of the files that arrays are written to."""
READABLE = (".npy", ".npz")
"""Suffixes of the files that arrays are read from."""
_MAGIC, _ZIP = b"\x93NUMPY", b"PK"
_MAX_RATIO, _SMALL = 100, 2**28
"""A compressed array may unpack to this many times its size in the file, or to this many bytes."""
_MAX_MEMBERS = 1000
_ADVICE = "Write it with numpy.save or numpy.savez, without Python objects."


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, known by its header. ``read`` returns the data."""

    path: Path
    """The .npy or .npz file."""
    name: str
    """Its name in an .npz; "x" in a .npy."""
    shape: tuple[int, ...]
    dtype: np.dtype
    is_fortran: bool
    """Whether the first axis is the fastest in the file."""
    offset: int | None
    """Where its data begins in the file; None if it is compressed."""

    def read(self) -> np.ndarray:
        """The data, read-only: memory-mapped, or unpacked if the .npz is compressed.

        Raises:
            DataError: if the data is damaged, or does not fit into memory.
        """
        with _explained(self.path):
            if 0 in self.shape:
                return np.zeros(self.shape, self.dtype)
            if self.offset is not None:
                order = "F" if self.is_fortran else "C"
                # A view without numpy's memmap class, which take() would carry into every batch.
                return np.asarray(np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order))
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(f"{self.name}.npy")
                _check_unpacked(self.path, info)
                with archive.open(info) as file:
                    return np.lib.format.read_array(file, allow_pickle=False)


def open_arrays(path: Path) -> dict[str, StoredArray]:
    """The arrays of a .npy file (named "x") or an .npz file, by their headers. The content decides which of the two it is.

    Raises:
        DataError: if the file is missing, damaged or of another format, or unpacks to far more than its own size.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a .npy or .npz file.")
    with _explained(path), path.open("rb") as file:
        start = file.read(len(_MAGIC))
        file.seek(0)
        if start == _MAGIC:
            shape, is_fortran, dtype = _header(file)
            found = StoredArray(path, "x", shape, dtype, is_fortran, file.tell())
            _check_size(path, "x", found, os.fstat(file.fileno()).st_size - file.tell())
            return {"x": found}
        if start.startswith(_ZIP):
            return _members(path, file)
    raise DataError(f"{path} is neither .npy nor .npz. {_ADVICE}")


def read_array(path: Path) -> np.ndarray:
    """The one array of a file.

    Raises:
        DataError: if the file cannot be read, or holds several arrays.
    """
    arrays = open_arrays(path)
    if len(arrays) != 1:
        raise DataError(f"{path} holds the arrays {sorted(arrays)[:8]}; one array is expected. Save the one you want with numpy.save.")
    return next(iter(arrays.values())).read()


def write_array(path: Path, array: np.ndarray) -> None:
    """Write one array, whole or not at all.

    Raises:
        DataError: if the place cannot be written.
    """
    with atomic(path, DataError, "Choose another place.") as partial, partial.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _members(path: Path, file: Any) -> dict[str, StoredArray]:
    """The arrays of an .npz; other files in it are left out."""
    found = {}
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if len(infos) > _MAX_MEMBERS:
            raise DataError(f"{path} holds {len(infos)} files; at most {_MAX_MEMBERS} arrays are expected.")
        for info in infos:
            name = info.filename.removesuffix(".npy")
            if info.is_dir() or not info.filename.endswith(".npy"):
                continue
            with archive.open(info) as member:
                shape, is_fortran, dtype = _header(member)
                begins = member.tell()
            is_stored = info.compress_type == zipfile.ZIP_STORED
            offset = _data_offset(file, info) + begins if is_stored else None
            found[name] = StoredArray(path, name, shape, dtype, is_fortran, offset)
            _check_size(path, name, found[name], info.file_size - begins)
    if not found:
        raise DataError(f"{path} holds no arrays. {_ADVICE}")
    return found


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of an array whose file is read from its beginning."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"version {version} of the format is for arrays with named fields")
    shape, is_fortran, dtype = readers[version](file)
    if dtype.kind not in "biufcUS" or dtype.itemsize == 0:
        raise ValueError(f"it holds {dtype}, not numbers")
    if any(length < 0 for length in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, is_fortran, dtype


def _check_size(path: Path, name: str, array: StoredArray, there: int) -> None:
    """Raise DataError unless the file holds all of the array."""
    size = array.dtype.itemsize
    for length in array.shape:
        size *= length
    if size > there:
        raise DataError(f"{path}, array {name!r}, says that it has {size} bytes, shape {array.shape}; the file has {there}. {_ADVICE}")


def _check_unpacked(path: Path, info: zipfile.ZipInfo) -> None:
    """Raise DataError if an array unpacks to far more than it is in the file, or than this machine's memory."""
    packed = min(info.compress_size, path.stat().st_size)
    most = min(max(_SMALL, _MAX_RATIO * packed), _memory() // 2)
    if info.file_size > most:
        raise DataError(
            f"{path}, array {info.filename.removesuffix('.npy')!r}, unpacks from {packed} to {info.file_size} bytes; at most {most} are "
            "read. Save it with numpy.save or numpy.savez: uncompressed files are not read into memory."
        )


def _memory() -> int:
    """Bytes of this machine's memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Not known on every system.
        return 2**34


def _data_offset(file: Any, info: zipfile.ZipInfo) -> int:
    """Where a member's data begins: behind its local header, whose name and extra field have lengths of their own."""
    file.seek(info.header_offset)
    header = file.read(30)
    name, extra = struct.unpack("<HH", header[26:30])
    return info.header_offset + 30 + name + extra


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn whatever numpy and zipfile raise into a DataError: the file is not what its name says."""
    try:
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory. Save it uncompressed, or in smaller parts.") from error
    except Exception as error:
        raise DataError(f"{path} cannot be read: {error or type(error).__name__}. {_ADVICE}") from error
