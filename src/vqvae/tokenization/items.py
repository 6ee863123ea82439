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


_LABELS, _ACTIONS = 2**63, 2**31
"""Bounds of the numbers that shards store."""


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
            DataError: if it cannot be read, does not fit the signal, is several examples, or has a label or actions that are too large.
        """
        _check_numbers(record)
        data = record.data
        if isinstance(data, Encoded):
            x = self._content(data, record.id)
        elif isinstance(data, Path):
            x = self._file(data, record.id)
        elif isinstance(data, np.ndarray):
            x = examples_of(data, self._signal, self._reading.bounds, record.id)
        else:
            x = data[None]
        if len(x) != 1:
            raise DataError(f"{record.id} holds {len(x)} examples; one is expected. Give the file itself as the data.")
        return x

    def _content(self, data: Encoded, name: str) -> Tensor:
        """The example in the content of a file. Pictures are decoded in memory; others need a file for a moment."""
        suffix = _suffix(data, self._kind.inputs[0])
        if self._kind is PICTURES and suffix not in READABLE:
            return self._picture(Path(name), data.content)
        path = self._folder / f"item{suffix}"
        path.write_bytes(data.content)
        return self._file(path, name)

    def _file(self, path: Path, name: str) -> Tensor:
        """A file's example. Errors call it by the record's name, so that they do not depend on where it lies."""
        try:
            if self._kind is PICTURES and path.suffix.lower() not in READABLE:
                return self._picture(path)
            return whole(self._kind.read(path, self._signal, self._reading.bounds))
        except DataError as error:
            raise DataError(str(error).replace(str(path), name)) from error

    def _picture(self, path: Path, content: bytes | None = None) -> Tensor:
        signal, reading = self._signal, self._reading
        settings = {"channels": signal.channels, "levels": signal.levels or 256, "bounds": reading.bounds}
        return torch.from_numpy(read_image(path, reading.size, **settings, content=content))[None]


def _check_numbers(record: Record) -> None:
    """Raise DataError unless the label and the actions fit the columns of a shard."""
    label, actions = record.label, record.actions or (0,)
    if isinstance(label, int) and not -_LABELS <= label < _LABELS or not -_ACTIONS <= min(actions) <= max(actions) < _ACTIONS:
        raise DataError(
            f"{record.id} has the label {label} and actions from {min(actions)} to {max(actions)}, which are too large to store."
        )


def _suffix(data: Encoded, default: str) -> str:
    start = next((suffix for start, suffix in _STARTS.items() if data.content.startswith(start)), "")
    own = Path(data.name).suffix.lower()
    return start or (own if own.isascii() and 1 < len(own) < 8 else default)
