"""``vqvae reconstruct RUN FILE...``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import parse, say
from vqvae.cli.files import bounds_of, check_folder, reconstruct_file
from vqvae.config import settings
from vqvae.disk import check_outputs
from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import kind_of
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder."""
    files: tyro.conf.Positional[tuple[Path, ...]]
    """Files of the kind that the model was trained on: pictures of any size, in colour or grey; recordings of any length and rate; or
    arrays."""
    out: Path
    """Folder for the reconstructions: PNG, WAV or NPY files with the names of the inputs."""
    speaker: str | None = None
    """Name or number of the speaker whose voice is used, if the model was trained with speakers."""
    bounds: Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH")] = None
    """The range of float data: the values of black and white in pictures, of the lowest and the highest level in arrays. Default: as in
    training."""
    json: bool = False
    """Print one JSON object."""
    overwrite: bool = False
    """Replace existing files. Folders and inputs are never replaced."""
    device: str = "auto"
    """"auto", "cpu", "cuda", ..."""


def main(arguments: Sequence[str]) -> int:
    """Encode and decode files, and print how close each result is: the PSNR (dB) of a picture, the log-mel distance (dB) of a recording,
    the root mean squared error of an array."""
    chosen = parse(Arguments, "reconstruct", arguments, "Encode files to codes and decode them again.")
    if not chosen.files:
        raise ConfigError("No files were given: vqvae reconstruct RUN FILE... --out DIR")
    model = pipeline.load(chosen.run, pick_device(chosen.device))
    check_folder(chosen.out)
    suffix = kind_of(model.signal).suffixes[0]
    places = [chosen.out / f"{file.stem}{suffix}" for file in chosen.files]
    check_outputs(places, chosen.files, overwrite=chosen.overwrite)
    pairs = zip(chosen.files, places, strict=True)
    bounds = bounds_of(chosen.run, chosen.bounds, kind_of(model.signal))
    say({str(file): reconstruct_file(file, model, chosen.speaker, place, bounds) for file, place in pairs}, chosen.json)
    return 0
