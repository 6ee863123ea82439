"""``vqvae train-prior RUN``."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from vqvae.cli.arguments import first_words, note, option, parse
from vqvae.cli.flags import WrongUse
from vqvae.cli.settings import Options, Settings, read_settings
from vqvae.runs.folder import REPORT
from vqvae.runs.stages import prior_config, train_prior
from vqvae.training import RunOptions

DESCRIPTION = "Train the prior over the codes of a run. After a stop, the same command continues."


@dataclass(frozen=True, kw_only=True)
class Arguments:
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder with a trained tokenizer."""
    settings: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Start from a settings file instead of the recipe. 'vqvae info RUN --settings --part prior' prints one."""
    config: Settings
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Train the second stage of a run and score both."""
    words, file = first_words(arguments), option(arguments, "settings")
    if not words:
        raise WrongUse("The run folder comes first. See: vqvae train-prior --help")
    run = Path(words[0])
    default = Arguments(run=run, config=prior_config(run) if file is None else read_settings(Path(file)))
    # The prior is the model of this stage: --prior wavenet is short for --model wavenet.
    arguments = [re.sub(r"^--prior(?=$|=)", "--model", argument) for argument in arguments]
    chosen = parse(Arguments, "train-prior", arguments, DESCRIPTION, default)
    train_prior(chosen.config, chosen.options, run)
    note(f"The report is {run / REPORT}.")
    return 0
