"""Files of any kind to compressed files and back, in bounded memory. Used by ``compress`` and ``decompress``."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from torch import Tensor

from vqvae.cli.files import picture_part, write_file
from vqvae.codec.container import Header, check_length, read_header, read_sections, remaining
from vqvae.codes import Codes
from vqvae.data.base import Batch
from vqvae.disk import atomic, check_plain, explained
from vqvae.errors import BitstreamError, DataError
from vqvae.evaluation.kinds import PICTURES, VIDEO, Bounds, Kind, kind_of, signal_of, whole
from vqvae.media.arrays import READABLE
from vqvae.media.pictures import MOST_PIXELS, Picture, open_picture
from vqvae.media.png import write_png_rows
from vqvae.models.tiling import Place, decode_bands, encode_tiled, is_tiled
from vqvae.pipeline import Pipeline
from vqvae.pipeline.compression import Coders, Opened, check_model, joined, open_file
from vqvae.pipeline.compression import write_file as write_compressed

_DECODED = 2**16
"""Samples of a recording that are decoded at once, without their context."""
_ADVICE = "Check that it exists and that you may read it."


def suffix_of(kind: Kind) -> str:
    """The suffix of decompressed files: .png, .wav, .mp4 or .npy."""
    return ".mp4" if kind is VIDEO else kind.suffixes[0]


def compress_file(file: Path, model: Pipeline, out: Path, coders: Coders, label: int | None = None, bounds: Bounds = None) -> int:
    """Compress a file. Returns the number of bytes written.

    Raises:
        ConfigError: if the model cannot encode data of this size.
        DataError: if the file cannot be read or is empty, or the result cannot be written.
    """
    codes, length = _encoded(file, model, bounds)
    with atomic(out, DataError, "Choose another --out.") as partial, partial.open("wb") as written:
        return write_compressed(model, written, codes, length, coders, label, signal_of(file, model.signal))


def read_facts(file: Path) -> tuple[Header, int]:
    """The header of a compressed file, and the number of bytes that its codes take. Every checksum is checked.

    Raises:
        BitstreamError: if it is not a compressed file, or is damaged.
        DataError: if it cannot be read.
    """
    name = str(file)
    with explained(DataError, file, "cannot be read", _ADVICE):
        check_plain(file)
        with file.open("rb") as opened:
            header, checksum = read_header(opened, name)
            check_length(header, remaining(opened), name)
            return header, sum(len(payload) for _, _, payload in read_sections(opened, header, checksum, name))


def check_file(file: Path, model: Pipeline) -> None:
    """Raise BitstreamError unless a file is intact and was written with this model."""
    check_model(model, read_facts(file)[0], str(file))


def decompress_file(file: Path, model: Pipeline, out: Path, speaker: str | None = None) -> None:
    """Decompress a file. The result is complete or does not exist.

    Raises:
        BitstreamError: if the file is damaged, or was written with another model.
        ConfigError: if the decoder needs a speaker.
        DataError: if the file cannot be read, or the result cannot be written.
    """
    with explained(DataError, file, "cannot be read", _ADVICE), file.open("rb") as compressed:
        opened = open_file(model, compressed, str(file))
        header, kind = opened.header, kind_of(model.signal)
        voice = model.voice(header.label, speaker)
        if model.tokenizer.streams and kind.running is not None:
            write_file(out, _sound(opened, model, voice), model.signal)
        elif kind is PICTURES and len(model.layout) == 1:
            _write_picture(opened, model, out, str(file))
        else:
            rate = model.signal.sample_rate or header.signal.sample_rate
            write_file(out, [model.restore(opened, str(file), speaker)], dataclasses.replace(model.signal, sample_rate=rate))


def _encoded(file: Path, model: Pipeline, bounds: Bounds) -> tuple[Iterable[Codes], Callable[[], tuple[int, ...]]]:
    """The codes of a file in blocks, and a function that returns the size of its data after the last block."""
    kind, signal = kind_of(model.signal), model.signal
    if kind is PICTURES and file.suffix.lower() not in READABLE:
        picture = open_picture(file, levels=signal.levels or 256)
        return [_picture_codes(picture, model, bounds)], lambda: picture.size
    if model.tokenizer.streams and kind.running is not None:
        length = 0

        def counted() -> Iterator[Tensor]:
            nonlocal length
            for block in kind.read(file, signal):
                length += block.shape[2]
                yield block

        return (Codes([block]) for block in model.encode_stream(counted())), lambda: (length,)
    x = whole(kind.read(file, signal, bounds))
    return [model.encode_batch(Batch(x))] if 0 not in x.shape else [], lambda: tuple(x.shape[2:])


def _picture_codes(picture: Picture, model: Pipeline, bounds: Bounds) -> Codes:
    """The codes of a picture. A large one is read and encoded in windows."""

    def read(place: Place) -> Tensor:
        return picture_part(picture, place, model.signal, bounds)

    if is_tiled(model.tokenizer, picture.size):
        return encode_tiled(model.tokenizer, picture.size, read)
    return model.encode_batch(Batch(read(tuple(slice(0, length) for length in picture.size))))


def _sound(opened: Opened, model: Pipeline, voice: str | int | None) -> Iterator[Tensor]:
    """A recording in pieces, cut to its length: the last code may cover more samples."""
    (length,), (stride,), made = opened.header.size, model.layout[0].stride, 0
    blocks = (block for codes in opened.codes for block in codes.tensor.split(max(_DECODED // stride, 1), 2))
    for piece in model.decode_stream(blocks, voice):
        yield piece[..., : length - made]
        made += piece.shape[-1]


def _write_picture(opened: Opened, model: Pipeline, out: Path, name: str) -> None:
    """Decode a picture to a PNG file. A large one is decoded and written in bands."""
    height, width = opened.header.size
    if height * width > MOST_PIXELS:
        raise BitstreamError(f"{name} claims {height:,} × {width:,} pixels; at most {MOST_PIXELS:,} are decoded. The file is damaged.")
    size, codes = (height, width), joined(opened, name)
    bands: Iterable[Tensor] = decode_bands(model.tokenizer, codes, size) if is_tiled(model.tokenizer, size) else [model.decode(codes, size)]
    write_png_rows(out, (band[0].numpy() for band in bands), size, model.signal.levels or 256)
