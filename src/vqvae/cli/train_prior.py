"""``vqvae train-prior RUN``."""

import re
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated

import tyro

from vqvae.cli.arguments import first_words, note, option, parse
from vqvae.cli.flags import WrongUse
from vqvae.cli.settings import Options, Settings, read_settings
from vqvae.cli.values import Data, Run
from vqvae.config import settings
from vqvae.disk import typed_path
from vqvae.errors import ConfigError
from vqvae.runs.defaults import prior_config
from vqvae.runs.encoding import ensure_codes
from vqvae.runs.folder import REPORT, found_data, scores_folder
from vqvae.runs.sharing import own_copy
from vqvae.runs.stages import train_prior
from vqvae.training import RunOptions

DESCRIPTION = "Train a prior over the codes of a run, and score the run. After a stop, the same command continues."


@settings
class Arguments:
    run: Run
    """A run folder with a trained tokenizer."""
    settings: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Start from a settings file instead of the recipe. 'vqvae info RUN --settings --part prior' prints one."""
    name: Annotated[str, tyro.conf.arg(metavar="NAME")] = ""
    """A name for this prior, if the run gets several."""
    level: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """The level of codes to learn, if the tokenizer has several. 0 is the coarsest."""
    data: Data = None
    """The data of the run at its new place, for the scores. Default: its place in training."""
    tokens: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Train on a folder of 'vqvae tokenize' instead of the training side of the run's codes."""
    config: Settings
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Train the second stage of a run and score both."""
    words, file = first_words(arguments), option(arguments, "settings")
    if not words:
        raise WrongUse("The run folder comes first. See: vqvae train-prior --help")
    run = own_copy(words[0])
    ensure_codes(run, option(arguments, "data"))
    arguments = [str(run) if argument == words[0] else argument for argument in arguments]
    config = read_settings(typed_path(file)) if file is not None else prior_config(run, _level(arguments))
    # The prior is the model of this stage: --prior wavenet is short for --model wavenet.
    arguments = [re.sub(r"^--prior(?=$|=)", "--model", argument) for argument in arguments]
    chosen = parse(Arguments, "train-prior", arguments, DESCRIPTION, Arguments(run=run, config=config))
    splits = None if chosen.data is None else found_data(run, chosen.data)
    train_prior(chosen.config, chosen.options, run, level=chosen.level, name=chosen.name, splits=splits, tokens=chosen.tokens)
    report = scores_folder(run, chosen.name) / REPORT
    note(f"The report is {report}." if report.is_file() else f"Score the run: vqvae evaluate {run} --data PATH")
    return 0


def _level(arguments: Sequence[str]) -> int:
    """The level, read before all other arguments, because it affects their defaults."""
    text = option(arguments, "level") or "0"
    if not text.isdecimal() or len(text) > 9:
        raise ConfigError(f"--level is {text}; it must be a whole number, 0 or more.")
    return int(text)
