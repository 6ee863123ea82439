"""``vqvae train-prior RUN``."""

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path

import tyro

from vqvae.cli.arguments import Options, Settings, first_words, note, parse
from vqvae.cli.main import WRONG_USE
from vqvae.config import settings
from vqvae.runs.folder import REPORT
from vqvae.runs.stages import prior_config, train_prior
from vqvae.training import RunOptions

DESCRIPTION = "Train the prior over the codes of a run, by the recipe of its tokenizer. The same command goes on after a stop."
USAGE = "usage: vqvae train-prior RUN [--any.field VALUE]"


@settings
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder, with a trained tokenizer in it."""
    config: Settings
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Train the second stage of a run and score both."""
    words = first_words(arguments)
    if not words:
        note(f"{USAGE}\nvqvae train-prior: the run folder comes first; its tokenizer decides on the fields.")
        return 0 if set(arguments) & {"-h", "--help"} else WRONG_USE
    run = Path(words[0])
    chosen = parse(Arguments, "train-prior", arguments, DESCRIPTION, Arguments(run=run, config=prior_config(run)))
    train_prior(chosen.config, chosen.options, run)
    note(f"The report is {run / REPORT}.")
    return 0
