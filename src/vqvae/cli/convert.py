"""``vqvae convert RUN IN --speaker NAME --out OUT``: speaker conversion [VQVAE §4.3]."""

from collections.abc import Sequence
from pathlib import Path

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.files import check_file, check_folder, convert_file
from vqvae.config import settings
from vqvae.disk import check_outputs, safe_names
from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import kind_of
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder of a model of speech whose decoder has speakers."""
    file: tyro.conf.Positional[Path]
    """A recording: WAV, FLAC, OGG or MP3, of any rate and length, by anyone."""
    out: Path
    """The WAV or FLAC file to write; with --all-speakers the folder for one of each."""
    speaker: str | None = None
    """Whose voice shall say it, by name or number."""
    all_speakers: bool = False
    """Say it in every voice that the decoder has."""
    overwrite: bool = False
    """Replace files that are there; never a folder, and never an input."""
    device: str = "auto"
    """"auto", "cpu", "cuda", ..."""


def main(arguments: Sequence[str]) -> int:
    """Say what a recording says in another voice."""
    chosen = parse(Arguments, "convert", arguments, "Say what a recording says in another voice: its codes, decoded with another speaker.")
    model = pipeline.load(chosen.run, pick_device(chosen.device))
    if (chosen.speaker is None) != chosen.all_speakers:
        raise ConfigError(f"Give either --speaker NAME or --all-speakers. The speakers are {', '.join(model.speakers) or 'none'}.")
    if not model.speakers:
        raise ConfigError(f"The decoder of {chosen.run} has no speakers to choose from; train it with config.model.decoder.speakers.")
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
        note(f"{place} says it as {name}.")
    return 0
