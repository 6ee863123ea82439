"""Files that commands read and write. ``evaluation/kinds.py`` has the formats of each kind of data."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqvae.errors import ConfigError
from vqvae.evaluation.images.reconstruction import SquaredError
from vqvae.evaluation.kinds import PICTURES, Blocks, Bounds, Kind, kind_of, signal_of
from vqvae.media.arrays import READABLE, write_array
from vqvae.media.images import write_png
from vqvae.media.pictures import Box, Picture, open_picture
from vqvae.media.png import write_png_rows
from vqvae.models.tiling import Place, decode_bands, encode_tiled, is_tiled
from vqvae.pipeline import Pipeline
from vqvae.signals import Signal


def check_folder(path: Path) -> None:
    """Raise ConfigError unless ``path`` can name a folder. Called before the work starts."""
    if path.suffix:
        raise ConfigError(f"{path} ends in '{path.suffix}'; the name of a folder (no suffix) is expected.")


def check_file(path: Path, kind: Kind) -> None:
    """Raise ConfigError unless an example of this kind can be written to such a file. Called before the work starts."""
    if path.suffix.lower() not in kind.suffixes:
        raise ConfigError(f"{path} ends in '{path.suffix}'; {kind.name} are written as {' or '.join(kind.suffixes)}.")


def sample_files(path: Path, names: Sequence[str], kind: Kind) -> list[Path]:
    """The files that ``write_samples`` writes."""
    return [path] if path.suffix else [path / f"{name}{kind.suffixes[0]}" for name in names]


def check_samples(path: Path, kind: Kind) -> None:
    """Raise ConfigError unless ``write_samples`` accepts the name. Called before the work starts."""
    one_file = (".npy",) if kind.grid is None else (".png", ".npy")
    if path.suffix not in ("", *one_file):
        names = " or ".join(f"NAME{suffix}" for suffix in one_file)
        raise ConfigError(f"{path} ends in '{path.suffix}'; {names} or the name of a folder (no suffix) is expected.")


def write_samples(data: Tensor, path: Path, names: Sequence[str], signal: Signal) -> None:
    """Write examples as one picture (.png, if they can be drawn), one array (.npy), or a folder with one file each.

    Raises:
        ConfigError: if the path has another suffix.
        DataError: if a file cannot be written.
    """
    kind = kind_of(signal)
    check_samples(path, kind)
    if path.suffix == ".png":
        assert kind.grid is not None, "checked"
        write_png(path, kind.grid(data, max(1, int(len(data) ** 0.5))))
    elif path.suffix == ".npy":
        write_array(path, np.ascontiguousarray(data.numpy()))
    else:
        for file, example in zip(sample_files(path, names, kind), data, strict=True):
            kind.write(file, [example[None]], signal)


def write_file(path: Path, blocks: Blocks, signal: Signal) -> None:
    """Write one example that comes in blocks. The file is complete or does not exist.

    Raises:
        DataError: if the file cannot be written.
    """
    kind_of(signal).write(path, blocks, signal)


def reconstruct_file(file: Path, model: Pipeline, speaker: str | None, out: Path, bounds: Bounds = None) -> float:
    """Encode and decode a file, write the result, and return its score by the measure of its kind.

    Raises:
        DataError: if the file cannot be read, or the result cannot be written.
    """
    kind, signal = kind_of(model.signal), model.signal
    if kind is PICTURES and file.suffix.lower() not in READABLE:
        return _reconstruct_picture(file, model, out, bounds)
    if model.tokenizer.streams and kind.running is not None:
        running = kind.running(signal)
        write_file(out, _measured(kind.read(file, signal), model, speaker, running.add), signal)
        return running.value()
    original = torch.cat(list(kind.read(file, signal, bounds)), -1)
    made = model.reconstruct(original, speaker)
    write_file(out, [made], signal_of(file, signal))
    return kind.near(made, original, signal)


def _measured(blocks: Blocks, model: Pipeline, speaker: str | None, add: Callable[[Tensor, Tensor], None]) -> Iterator[Tensor]:
    """Reconstructions of blocks. Each is also passed to ``add`` with its original."""
    waiting: list[Tensor] = []

    def kept() -> Iterator[Tensor]:
        for block in blocks:
            waiting.append(block)
            yield block

    for made in model.reconstruct_stream(kept(), speaker):
        original = torch.cat(waiting, -1)
        add(original[0, 0, : made.shape[-1]], made[0, 0])
        waiting[:] = [original[..., made.shape[-1] :]]
        yield made


def _reconstruct_picture(file: Path, model: Pipeline, out: Path, bounds: Bounds) -> float:
    """Reconstruct a picture of any size. A large one is read and written in pieces."""
    signal = model.signal
    picture = open_picture(file, levels=signal.levels or 256)

    def read(place: Place) -> Tensor:
        return picture_part(picture, place, signal, bounds)

    if is_tiled(model.tokenizer, picture.size):
        bands: Iterable[Tensor] = decode_bands(model.tokenizer, encode_tiled(model.tokenizer, picture.size, read), picture.size)
    else:
        bands = [model.reconstruct(read(tuple(slice(0, length) for length in picture.size)))]
    error = SquaredError((signal.levels or 256) - 1)

    def compared() -> Iterator[np.ndarray]:
        row = 0
        for band in bands:
            rows = slice(row, row + band.shape[2])
            error.add(read((rows, slice(0, picture.size[1]))), band)
            row = rows.stop
            yield band[0].numpy()

    write_png_rows(out, compared(), picture.size, signal.levels or 256)
    return error.psnr()


def picture_part(picture: Picture, place: Place, signal: Signal, bounds: Bounds) -> Tensor:
    """A part of a picture, as data for a model: (1, channels, height, width)."""
    down, across = place
    box = Box(down.start, across.start, down.stop, across.stop)
    return torch.from_numpy(picture.read(box, signal.channels, signal.levels or 256, bounds))[None]


def convert_file(file: Path, model: Pipeline, speaker: str, out: Path) -> None:
    """Convert a recording of any length to another voice, block by block.

    Raises:
        ConfigError: if the model has no such speaker.
        DataError: if the file cannot be read, or the result cannot be written.
    """
    write_file(out, model.reconstruct_stream(kind_of(model.signal).read(file, model.signal), speaker), model.signal)
