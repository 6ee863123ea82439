"""Files that clients send, checked before they take memory: as what a model takes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from vqvae.disk import safe_name
from vqvae.errors import BitstreamError, DataError
from vqvae.evaluation.arrays.files import read_examples
from vqvae.evaluation.kinds import PICTURES, SOUND, VIDEO, Kind, other_frame_rate, sample_rate_of
from vqvae.media.arrays import READABLE, open_arrays
from vqvae.media.formats import format_of
from vqvae.media.pictures import read_header
from vqvae.media.video import frame_rate_of, video_frames
from vqvae.pipeline import Pipeline
from vqvae.serving.refusals import Refusal
from vqvae.serving.settings import ServeOptions
from vqvae.signals import Signal

_COPIED = 2**20
_ARRAY = b"\x93NUMPY"
_ZIP = b"PK"


@contextmanager
def stored(file: BinaryIO, name: str | None, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """A sent file in a folder of its own, under a harmless name. Errors inside name the file as the client does.

    Args:
        file: the content.
        name: what the client calls it.
        suffixes: those that are allowed; any other becomes the first.
    """
    called = safe_name(Path(name or "file").name)
    suffix = Path(called).suffix.lower()
    with TemporaryDirectory(prefix="vqvae-serve-") as folder:
        path = Path(folder) / f"{Path(called).stem or 'file'}{suffix if suffix in suffixes else suffixes[0]}"
        with path.open("wb") as written:
            while block := file.read(_COPIED):
                written.write(block)
        try:
            yield path
        except Refusal:
            raise
        except (DataError, BitstreamError) as error:
            raise type(error)(str(error).replace(str(path), called)) from error


def read_upload(file: BinaryIO, name: str | None, model: Pipeline, kind: Kind, options: ServeOptions) -> Tensor:
    """A sent file as one example (1, channels, *axes).

    Raises:
        Refusal: the file is not of the model's kind (415), or larger than the server allows (413).
    """
    start = file.read(16)
    file.seek(0)
    with stored(file, name, _suffixes(kind, start)) as path:
        try:
            if not path.stat().st_size:
                raise DataError(f"{path} is empty. Send {kind.name}.")
            parts = list(_read(path, model, kind, options))
        except DataError as error:
            called = str(error).replace(str(path), safe_name(Path(name or "file").name))
            raise Refusal(415, f"{called} This model takes {kind.name}.") from error
    return torch.cat(parts, -1)


def _suffixes(kind: Kind, start: bytes) -> tuple[str, ...]:
    """The suffixes that a file may keep. A file of arrays is known by its first bytes."""
    if start.startswith(_ARRAY):
        return (".npy",)
    if start.startswith(_ZIP):
        return (".npz",)
    plain = tuple(suffix for suffix in kind.inputs if suffix not in READABLE)
    if kind is VIDEO and (found := format_of(start)) is not None and found.name == "GIF":
        return (".gif",)
    return plain or (".npy",)


def _read(path: Path, model: Pipeline, kind: Kind, options: ServeOptions) -> Iterator[Tensor]:
    """The file in pieces along its last axis. Sizes are checked before data is decoded."""
    signal = model.signal
    if path.suffix in READABLE:
        most = options.most_seconds * sample_rate_of(signal) if kind is SOUND else options.most_pixels * signal.channels
        for array in open_arrays(path).values():
            _check_size(math.prod(array.shape), path, int(most))
        data = torch.cat(list(read_examples(path, signal)), -1)
        if len(data) != 1:
            raise DataError(f"{path} has {len(data)} examples; one is expected. Send them one by one.")
        yield data
    elif kind is PICTURES:
        _check_size(math.prod(read_header(path).size), path, options.most_pixels)
        yield from kind.read(path, signal)
    elif kind is SOUND:
        length = 0
        for block in kind.read(path, signal):
            length += block.shape[-1]
            if length > options.most_seconds * sample_rate_of(signal):
                raise Refusal(413, f"{path.name} is longer than {options.most_seconds:g} seconds. Cut it and send the parts.")
            yield block
    elif kind is VIDEO:
        yield _clip(path, signal, options)
    else:
        yield from kind.read(path, signal)


def _clip(path: Path, signal: Signal, options: ServeOptions) -> Tensor:
    """A video file, decoded once, as far as its frames are within the limits. Frames that are skipped count, too: they take time."""
    rate, frames, pixels = other_frame_rate(path, signal), [], 0.0
    each = 1.0 if rate is None else max(1.0, frame_rate_of(path) / rate)
    for frame in video_frames(path, channels=signal.channels, frame_rate=rate):
        pixels += each * frame.shape[-1] * frame.shape[-2]
        _check_size(int(pixels), path, options.most_pixels)
        frames.append(frame)
    return torch.from_numpy(np.stack(frames, 1))[None]


def _check_size(positions: int, path: Path, most: int) -> None:
    if positions > most:
        raise Refusal(413, f"{path.name} has {positions:,} values or more; at most {most:,} are taken. Make it smaller.")
