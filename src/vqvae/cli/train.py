"""``vqvae train RECIPE``."""

import dataclasses
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

import tyro

from vqvae.cli.arguments import Options, Settings, first_words, note, option, parse, read_settings
from vqvae.cli.main import WRONG_USE
from vqvae.config import settings
from vqvae.errors import ConfigError
from vqvae.recipes import RECIPES, Recipe, fitted
from vqvae.runs.folder import REPORT, moved
from vqvae.runs.stages import train_tokenizer
from vqvae.training import RunOptions

DESCRIPTION = "Train a tokenizer by a recipe (see 'vqvae recipes') or a JSON file of settings. The same command goes on after a stop."
USAGE = "usage: vqvae train RECIPE [--data PATH] [--out RUN] [--any.field VALUE]"


@settings
class Arguments:
    recipe: tyro.conf.Positional[str]
    """The recipe's name, or a file NAME.json of settings."""
    data: str | None = None
    """Where the data lies; stands for --data.path."""
    out: Path
    """The run folder; runs/RECIPE where it is left out."""
    skip_bad: bool = False
    """List files that cannot be decoded and go on without them, instead of stopping before training starts."""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """A run whose tokenizer training begins with (fine-tuning)."""
    config: Settings
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Train the first stage of a recipe and score it."""
    words, helping = first_words(arguments), bool(set(arguments) & {"-h", "--help"})
    if not words or not (words[0] in RECIPES or words[0].endswith(".json")):
        came = f"there is no recipe '{words[0]}'" if words else "the name of a recipe comes first"
        note(f"{USAGE}\nvqvae train: {came}; there are {', '.join(RECIPES)}.")
        return 0 if helping else WRONG_USE
    name, data = words[0], option(arguments, "data")
    if helping and data is None:
        data = "PATH"  # Help does not need the data that training does.
    config = read_settings(Path(name)) if name.endswith(".json") else RECIPES[name].tokenizer(data, **_looked_at(RECIPES[name], arguments))
    default = Arguments(recipe=name, out=Path("runs") / Path(name).stem, config=config)
    chosen = parse(Arguments, "train", arguments, DESCRIPTION, default)
    config = fitted(chosen.config, config)
    if chosen.data is not None:
        if config.data is None:
            raise ConfigError(f"{name} has no data to take from elsewhere; train-prior trains priors.")
        config = dataclasses.replace(config, data=moved(config.data, chosen.data))
    if chosen.skip_bad:
        data: Any = config.data
        if not hasattr(data, "skip_bad"):
            raise ConfigError(f"{name} trains on no folder of files; leave --skip-bad out.")
        config = dataclasses.replace(config, data=dataclasses.replace(data, skip_bad=True))
    if chosen.source is not None:
        config = dataclasses.replace(config, start_from=str(chosen.source))
    train_tokenizer(config, chosen.options, chosen.out, recipe=Path(name).stem)
    note(f"The report is {chosen.out / REPORT}. Next: vqvae train-prior {chosen.out}")
    return 0


def _looked_at(recipe: Recipe, arguments: Sequence[str]) -> dict[str, str]:
    """The settings of the data that decide on the recipe's other defaults, as words."""
    words = {name: option(arguments, f"data.{name}") for name in recipe.looks_at}
    return {name: word for name, word in words.items() if word is not None}
