"""Reading and writing audio where commands take files of it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.data import audio_blocks, read_audio, write_audio
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.speech.distances import log_mel_distance
from vqvae.pipeline import Pipeline

_BLOCK = 65_536
"""Samples of a recording that are encoded and decoded at once."""


def read_wave(path: Path, model: Pipeline) -> Float[Tensor, "1 1 samples"]:
    """A recording of any rate as a model of speech takes it.

    Raises:
        ConfigError: the model is none of speech.
        DataError: the file cannot be decoded.
    """
    return torch.from_numpy(read_audio(path, _rate(model)))[None, None]


def convert_file(path: Path, model: Pipeline, speaker: str, out: Path) -> None:
    """Write what a recording of any rate and length says in another voice; it is never in memory as a whole.

    Raises:
        ConfigError: the model is none of speech, or has no such speaker.
        DataError: the file cannot be decoded, or the place cannot be written.
    """
    blocks = (torch.from_numpy(block)[None, None] for block in audio_blocks(path, _rate(model)))
    write_sound(out, (piece[0, 0] for piece in model.reconstruct_stream(blocks, speaker)), _rate(model))


def _rate(model: Pipeline) -> int:
    if model.rate is None:
        raise ConfigError("This model was trained on images, not on speech. Take another run folder.")
    return model.rate


def check_folder(path: Path) -> None:
    """Raise ConfigError unless ``write_sounds`` takes the name: before the work, not after it."""
    if path.suffix:
        raise ConfigError(f"{path} ends in '{path.suffix}'; the name of a folder (no suffix) is expected for several sounds.")


def check_file(path: Path) -> None:
    """Raise ConfigError unless ``write_sound`` takes the name: before the work, not after it."""
    if path.suffix.lower() not in (".wav", ".flac"):
        raise ConfigError(f"{path} ends in '{path.suffix}'; audio is written as .wav or .flac.")


def write_sounds(sounds: Float[Tensor, "n 1 samples"], rate: int, folder: Path, names: Sequence[str]) -> None:
    """Write a WAV file each, with these names.

    Raises:
        DataError: the place cannot be written.
    """
    for name, sound in zip(names, sounds, strict=True):
        write_sound(folder / f"{name}.wav", [sound[0]], rate)


def write_sound(path: Path, pieces: Iterable[Float[Tensor, " samples"]], rate: int) -> None:
    """Write one WAV or FLAC file of pieces, whole or not at all.

    Raises:
        DataError: another suffix, or the place cannot be written.
    """
    try:
        write_audio(path, (piece.numpy() for piece in pieces), rate)
    except OSError as error:
        raise DataError(f"{path} could not be written ({error}). Choose another place.") from error


def reconstruct_audio(model: Pipeline, files: Sequence[Path], folder: Path, speaker: str | None) -> dict[str, float]:
    """Encode and decode recordings, write them to a folder, and give the log-mel distance (dB) of each to its file."""
    scores = {}
    for file in files:
        wave = read_wave(file, model)
        made = torch.cat(list(model.reconstruct_stream(wave.split(_BLOCK, 2), speaker)), 2)
        assert model.rate is not None
        write_sounds(made, model.rate, folder, [file.stem])
        scores[str(file)] = float(log_mel_distance(wave[0], made[0], model.rate))
    return scores
