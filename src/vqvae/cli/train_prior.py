"""``vqvae train-prior RUN``."""

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

import tyro

from vqvae.cli.arguments import Options, Settings, first_words, note, option, parse, read_settings
from vqvae.cli.main import WRONG_USE
from vqvae.config import settings
from vqvae.errors import ConfigError
from vqvae.runs.folder import REPORT, found_data, scores_folder
from vqvae.runs.stages import prior_config, train_prior
from vqvae.training import RunOptions

DESCRIPTION = "Train the prior over the codes of a run, by its recipe or a JSON file of settings. The same command resumes it."
USAGE = "usage: vqvae train-prior RUN [FILE.json] [--name NAME] [--any.field VALUE]"


@settings
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder, with a trained tokenizer in it."""
    settings: tyro.conf.Positional[Path | None] = None
    """A file NAME.json of settings, in place of the recipe's."""
    name: str = ""
    """The name of the prior, if the run is to have several."""
    level: int = 0
    """The level of codes to learn, if the tokenizer has several; 0 is the coarsest."""
    data: str | None = None
    """Where the run's data is now, for the scores."""
    config: Settings
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Train the second stage of a run and score both."""
    words = first_words(arguments)
    if not words:
        note(f"{USAGE}\nvqvae train-prior: the run folder comes first; its tokenizer decides on the fields.")
        return 0 if set(arguments) & {"-h", "--help"} else WRONG_USE
    run, file = Path(words[0]), Path(words[1]) if len(words) > 1 else None
    config = read_settings(file) if file is not None else prior_config(run, _level(arguments))
    chosen = parse(Arguments, "train-prior", arguments, DESCRIPTION, Arguments(run=run, settings=file, config=config))
    splits = None if chosen.data is None else found_data(run, chosen.data)
    train_prior(chosen.config, chosen.options, run, level=chosen.level, name=chosen.name, splits=splits)
    report = scores_folder(run, chosen.name) / REPORT
    note(f"The report is {report}." if report.is_file() else f"Score the run: vqvae evaluate {run} --data PATH")
    return 0


def _level(arguments: Sequence[str]) -> int:
    """The level, read ahead of all other arguments: it decides on their defaults."""
    text = option(arguments, "level") or "0"
    if not text.isdecimal():
        raise ConfigError(f"--level is {text}; it must be a number from 0.")
    return int(text)
