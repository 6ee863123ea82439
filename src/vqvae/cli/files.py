"""Files of data where commands take or give them; what a file is, the table of kinds says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import Blocks, Kind, kind_of
from vqvae.media.arrays import write_array
from vqvae.media.images import write_png
from vqvae.pipeline import Pipeline
from vqvae.signals import Signal


def check_folder(path: Path) -> None:
    """Raise ConfigError unless ``path`` is a name for a folder of files: before the work, not after it."""
    if path.suffix:
        raise ConfigError(f"{path} ends in '{path.suffix}'; the name of a folder (no suffix) is expected.")


def check_file(path: Path, kind: Kind) -> None:
    """Raise ConfigError unless one example of this kind is written to such a file: before the work, not after it."""
    if path.suffix.lower() not in kind.suffixes:
        raise ConfigError(f"{path} ends in '{path.suffix}'; {kind.name} are written as {' or '.join(kind.suffixes)}.")


def sample_files(path: Path, names: Sequence[str], kind: Kind) -> list[Path]:
    """The files that ``write_samples`` writes."""
    return [path] if path.suffix else [path / f"{name}{kind.suffixes[0]}" for name in names]


def check_samples(path: Path, kind: Kind) -> None:
    """Raise ConfigError unless ``write_samples`` takes the name: before the work, not after it."""
    one_file = (".npy",) if kind.grid is None else (".png", ".npy")
    if path.suffix not in ("", *one_file):
        names = " or ".join(f"NAME{suffix}" for suffix in one_file)
        raise ConfigError(f"{path} ends in '{path.suffix}'; {names} or the name of a folder (no suffix) is expected.")


def write_samples(data: Tensor, path: Path, names: Sequence[str], signal: Signal) -> None:
    """Write examples as one picture (.png, where they can be drawn), one array (.npy), or a folder with a file each.

    Raises:
        ConfigError: another suffix.
        DataError: the place cannot be written.
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
    """Write one example that comes in blocks, whole or not at all.

    Raises:
        DataError: the place cannot be written.
    """
    kind_of(signal).write(path, blocks, signal)


def reconstruct_file(file: Path, model: Pipeline, speaker: str | None, out: Path) -> float:
    """Encode and decode a file, write what comes out, and give how near it is, by the measure of its kind.

    Raises:
        DataError: the file cannot be read, or the place cannot be written.
    """
    kind, signal = kind_of(model.signal), model.signal
    blocks = list(kind.read(file, signal))
    original = torch.cat(blocks, -1)
    streams = model.tokenizer.streams and len(original) == 1
    made = list(model.reconstruct_stream(blocks, speaker)) if streams else [model.reconstruct(original, speaker)]
    write_file(out, made, signal)
    return kind.near(torch.cat(made, -1), original, signal)


def convert_file(file: Path, model: Pipeline, speaker: str, out: Path) -> None:
    """Write what a file of any length says in another voice; it is never in memory as a whole.

    Raises:
        ConfigError: the model has no such speaker.
        DataError: the file cannot be read, or the place cannot be written.
    """
    write_file(out, model.reconstruct_stream(kind_of(model.signal).read(file, model.signal), speaker), model.signal)
