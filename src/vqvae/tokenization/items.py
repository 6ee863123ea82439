"""Records of a source as data of a model's signal."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqvae.data.records.base import Encoded, Record
from vqvae.errors import DataError
from vqvae.evaluation.arrays.files import examples_of
from vqvae.evaluation.kinds import PICTURES, kind_of, whole
from vqvae.media.arrays import READABLE
from vqvae.media.images import read_image
from vqvae.signals import Signal
from vqvae.tokenization.plan import Reading

_STARTS = {b"\x93NUMPY": ".npy", b"PK": ".npz", b"GIF8": ".gif"}
"""The first bytes of formats whose reader goes by the suffix."""


class Items:
    """Reads records. The content of files inside other files passes through one temporary file."""

    def __init__(self, signal: Signal, reading: Reading) -> None:
        self._signal, self._reading, self._kind = signal, reading, kind_of(signal)
        self._folder = Path(tempfile.mkdtemp(prefix="vqvae-"))

    def close(self) -> None:
        """Remove the temporary file."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def read(self, record: Record) -> Tensor:
        """The example of a record, (1, channels, *axes).

        Raises:
            DataError: if it cannot be read, does not fit the signal, or is several examples.
        """
        data = record.data
        if isinstance(data, Encoded):
            path = self._folder / f"item{_suffix(data, self._kind.inputs[0])}"
            path.write_bytes(data.content)
            x = self._file(path, record.id)
        elif isinstance(data, Path):
            x = self._file(data, record.id)
        elif isinstance(data, np.ndarray):
            x = examples_of(data, self._signal, self._reading.bounds, record.id)
        else:
            x = data[None]
        if len(x) != 1:
            raise DataError(f"{record.id} holds {len(x)} examples; one is expected. Give the file itself as the data.")
        return x

    def _file(self, path: Path, name: str) -> Tensor:
        """A file's example. Errors call it by the record's name, so that they do not depend on where it lies."""
        try:
            if self._reading.size is not None and self._kind is PICTURES and path.suffix.lower() not in READABLE:
                levels = self._signal.levels or 256
                size, bounds = self._reading.size, self._reading.bounds
                pixels = read_image(path, size, channels=self._signal.channels, levels=levels, bounds=bounds)
                return torch.from_numpy(pixels)[None]
            return whole(self._kind.read(path, self._signal, self._reading.bounds))
        except DataError as error:
            raise DataError(str(error).replace(str(path), name)) from error


def _suffix(data: Encoded, default: str) -> str:
    start = next((suffix for start, suffix in _STARTS.items() if data.content.startswith(start)), "")
    own = Path(data.name).suffix.lower()
    return start or (own if own.isascii() and 1 < len(own) < 8 else default)
