"""``vqvae convert RUN FILE --speaker NAME --out FILE``: speaker conversion [VQVAE §4.3]."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.files import check_file, check_folder, convert_file
from vqvae.cli.values import Device, File, Name, Run
from vqvae.config import settings
from vqvae.disk import check_outputs, safe_names
from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import kind_of
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: Run
    """The run folder of a speech model with speakers."""
    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """A recording of any speaker, length and sample rate."""
    out: File
    """The WAV or FLAC file to write. With --all-speakers: a folder, which gets one file per speaker."""
    speaker: Name = None
    """The speaker whose voice is used, by name or number."""
    all_speakers: bool = False
    """Convert to the voice of every speaker."""
    overwrite: bool = False
    """Replace existing files. Folders and inputs are never replaced."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""


def main(arguments: Sequence[str]) -> int:
    """Convert a recording to another voice."""
    chosen = parse(
        Arguments, "convert", arguments, "Convert a recording to another voice: encode it, then decode its codes with another speaker."
    )
    model = pipeline.load(chosen.run, pick_device(chosen.device))
    if (chosen.speaker is None) != chosen.all_speakers:
        raise ConfigError(f"Give either --speaker NAME or --all-speakers. The speakers are {', '.join(model.speakers) or 'none'}.")
    if not model.speakers:
        raise ConfigError(
            f"The decoder of {chosen.run} has no speakers. Train a model on recordings of at least two speakers, each in a sub-folder."
        )
    if chosen.all_speakers:
        check_folder(chosen.out)
        names, suffix = zip(model.speakers, safe_names(model.speakers), strict=True), kind_of(model.signal).suffixes[0]
        places = {speaker: chosen.out / f"{chosen.file.stem}-{name}{suffix}" for speaker, name in names}
    else:
        assert chosen.speaker is not None
        check_file(chosen.out, kind_of(model.signal))
        places = {model.speakers[model.label_number(chosen.speaker)]: chosen.out}
    check_outputs(places.values(), [chosen.file], overwrite=chosen.overwrite)
    for name, place in places.items():
        convert_file(chosen.file, model, name, place)
        note(f"Wrote {place} in the voice of {name}.")
    return 0
