"""``vqvae reconstruct RUN FILE...``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from vqvae import pipeline
from vqvae.cli.arguments import parse, say
from vqvae.cli.pictures import write_images
from vqvae.cli.sounds import reconstruct_audio
from vqvae.data import read_image
from vqvae.errors import ConfigError
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.training.machine import pick_device


@dataclass(frozen=True, kw_only=True)
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder."""
    files: tyro.conf.Positional[tuple[Path, ...]]
    """Image files of any size, or audio files of any length and rate."""
    out: Path
    """The folder for the reconstructions, as PNG or WAV files of the same names."""
    speaker: str | None = None
    """Of speech, whose voice speaks, where the decoder has speakers."""
    json: bool = False
    """Print one JSON object."""
    device: str = "auto"
    """"auto", "cpu", "cuda", ..."""


def main(arguments: Sequence[str]) -> int:
    """Encode and decode files; print the PSNR (dB) of each image, or the log-mel distance (dB) of each recording."""
    chosen = parse(Arguments, "reconstruct", arguments, "Encode image or audio files to codes and decode them again.")
    names = [file.stem for file in chosen.files]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError(f"Several files are called {', '.join(twice[:4])}; their reconstructions would overwrite each other.")
    if not names:
        raise ConfigError("No files were given: vqvae reconstruct RUN FILE... --out DIR")
    model = pipeline.load(chosen.run, pick_device(chosen.device))
    if model.rate is not None:
        say(reconstruct_audio(model, chosen.files, chosen.out, chosen.speaker), chosen.json)
        return 0
    images = [torch.from_numpy(read_image(file))[None] for file in chosen.files]
    scores = {}
    for file, image in zip(chosen.files, images, strict=True):
        reconstruction = model.reconstruct(image)
        write_images(reconstruction, chosen.out, [file.stem])
        scores[str(file)] = psnr(reconstruction, image).item()
    say(scores, chosen.json)
    return 0
