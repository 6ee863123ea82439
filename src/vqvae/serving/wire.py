"""How data travels: codes as JSON, examples as files of their kind, pictures and sounds as data URLs."""

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from vqvae.codes import Codes, Level
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.kinds import kind_of
from vqvae.signals import Signal

MEDIA = {
    ".png": "image/png",
    ".wav": "audio/wav",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".npy": "application/octet-stream",
    ".vqz": "application/octet-stream",
}
"""The media types of the files that the server sends."""


_QUICK = 1
"""zlib's fastest level."""


class Sent(NamedTuple):
    """A file as bytes."""

    data: bytes
    media: str

    @property
    def url(self) -> str:
        """The file as a data URL."""
        return f"data:{self.media};base64,{base64.b64encode(self.data).decode()}"


def suffix_of(signal: Signal, wanted: str | None = None) -> str:
    """The suffix of the files that examples are sent as. Every kind of data can be sent as an array.

    Raises:
        ConfigError: the kind has no such files.
    """
    known = tuple(dict.fromkeys((*(suffix for suffix in kind_of(signal).suffixes if suffix in MEDIA), ".npy")))
    if wanted is not None and f".{wanted}" not in known:
        raise ConfigError(f"format is {wanted!r}; this model sends {', '.join(suffix[1:] for suffix in known)}.")
    return known[0] if wanted is None else f".{wanted}"


def file_of(example: Tensor, signal: Signal, format: str | None = None) -> Sent:
    """An example (1, channels, *axes) as a file: PNG, WAV, GIF, MP4, or NPY, which keeps every value.

    Raises:
        ConfigError: the kind of data has no such files.
    """
    kind, suffix = kind_of(signal), suffix_of(signal, format)
    if suffix == ".npy":
        file = io.BytesIO()
        np.save(file, example.numpy(), allow_pickle=False)
        return Sent(file.getvalue(), MEDIA[suffix])
    if suffix == ".png" and signal.levels == 256:
        return Sent(png_of(example[0].numpy()), MEDIA[suffix])
    with TemporaryDirectory(prefix="vqvae-serve-") as folder:
        path = Path(folder) / f"example{suffix}"
        kind.write(path, [example], signal)
        return Sent(path.read_bytes(), MEDIA[suffix])


def frame_of(frame: Tensor) -> Sent:
    """A frame (1, channels, height, width) of a clip as PNG."""
    return Sent(png_of(frame[0].numpy()), MEDIA[".png"])


def png_of(pixels: UInt8[np.ndarray, "channels height width"], *, small: bool = False) -> bytes:
    """A picture of 1 or 3 channels as PNG, in memory: quickly, or as small as Pillow makes it."""
    file, last = io.BytesIO(), np.ascontiguousarray(pixels.transpose(1, 2, 0))
    settings = {"optimize": True} if small else {"compress_level": _QUICK}
    Image.fromarray(last[..., 0] if last.shape[-1] == 1 else last).save(file, format="PNG", **settings)
    return file.getvalue()


def codes_to_json(codes: Codes) -> dict[str, Any]:
    """The codes of one example."""
    return {"levels": [{"shape": list(level.shape[1:]), "data": level[0].flatten().tolist()} for level in codes]}


def codes_from_json(levels: Sequence[Any], layout: Sequence[Level], most_positions: int, *, partial: bool = False) -> Codes:
    """The codes of one example, (1, codebooks, *space) a level.

    Args:
        levels: one object with ``shape`` and ``data`` for each level.
        layout: the levels of the model.
        most_positions: the largest number of positions of data that the codes may stand for.
        partial: whether -1 may stand for a code that is not known.

    Raises:
        DataError: if they are no codes of this model, or too many.
    """
    if len(levels) != len(layout):
        raise DataError(f"codes has {len(levels)} levels; this model has {len(layout)}. Send one object with shape and data for each.")
    found = []
    for number, (given, level) in enumerate(zip(levels, layout, strict=True)):
        where, shape, data = f"codes.levels[{number}]", tuple(given.shape), given.data
        if len(shape) != 1 + len(level.stride) or shape[0] != level.num_codebooks or min(shape) < 1:
            axes = ", ".join(["codebooks", *["N"] * len(level.stride)])
            raise DataError(f"{where}.shape is {list(shape)[:8]}; expected [{axes}] with {level.num_codebooks} codebooks.")
        if math.prod(shape) != len(data):
            raise DataError(f"{where}.data has {len(data):,} codes; its shape {list(shape)} needs {math.prod(shape):,}.")
        positions = math.prod(shape[1:]) * math.prod(level.stride)
        if positions > most_positions:
            raise DataError(f"{where} stands for {positions:,} positions of data; at most {most_positions:,} are decoded. Send less.")
        least = -1 if partial else 0
        if not least <= min(data) <= max(data) < level.codebook_size:
            raise DataError(
                f"{where}.data lies between {min(data)} and {max(data)}; expected codes from {least} to {level.codebook_size - 1}."
            )
        found.append(torch.tensor(data, dtype=torch.int64).view(1, *shape))
    return Codes(found)
