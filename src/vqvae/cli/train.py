"""``vqvae train RECIPE``."""

import dataclasses
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

import tyro

from vqvae.cli.arguments import first_words, note, option, parse
from vqvae.cli.flags import WrongUse
from vqvae.cli.kinds import prior_kind, without_value
from vqvae.cli.settings import Options, Settings, read_settings
from vqvae.cli.values import Data
from vqvae.config import settings
from vqvae.disk import typed_path
from vqvae.errors import ConfigError
from vqvae.recipes import RECIPES, Recipe, fitted
from vqvae.runs.folder import REPORT, moved
from vqvae.runs.stages import train_both, train_tokenizer
from vqvae.training import RunOptions

DESCRIPTION = "Train a tokenizer and a prior, with the settings of a recipe or a file. After a stop, the same command continues."


@settings
class Arguments:
    recipe: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="RECIPE")]
    """The name of a recipe, or a settings file NAME.json."""
    data: Data = None
    """Your data: a folder, or a file of arrays. Short for --data.path."""
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """The run folder. Default: runs/RECIPE."""
    settings: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Start from a settings file instead of a recipe. 'vqvae info RUN --settings' prints one."""
    skip_bad: bool = False
    """List files that cannot be decoded and continue without them. Default: stop before training starts."""
    source: Annotated[Path | None, tyro.conf.arg(name="from", metavar="RUN")] = None
    """Start from the weights of this run's tokenizer (fine-tuning). Short for --start-from."""
    prior: Annotated[str, tyro.conf.arg(metavar="auto|yes|no|KIND")] = "auto"
    """Whether to train a prior over the codes too, score it, and draw samples. "auto": yes, unless --steps or a settings file is given,
    because these are for the tokenizer alone. KIND: yes, a prior of this kind (pixelcnn, wavenet, world, masked or transformer)."""
    config: Settings
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Train a tokenizer and, unless the flags say no, a prior. Score both."""
    default = _default(arguments)
    chosen = parse(Arguments, "train", arguments, DESCRIPTION, default)
    kind = prior_kind(chosen.prior, ("auto", "yes", "no"))
    config = fitted(chosen.config, default.config)
    if chosen.data is not None:
        if config.data is None:
            raise ConfigError(f"{chosen.settings or chosen.recipe} has the settings of a prior. Use it with 'vqvae train-prior'.")
        config = dataclasses.replace(config, data=moved(config.data, chosen.data))
    if chosen.skip_bad:
        data: Any = config.data
        if not hasattr(data, "skip_bad"):
            raise ConfigError(f"{chosen.recipe} does not read files from a folder. Omit --skip-bad.")
        config = dataclasses.replace(config, data=dataclasses.replace(data, skip_bad=True))
    if chosen.source is not None:
        config = dataclasses.replace(config, start_from=str(chosen.source))
    name, alone = Path(chosen.recipe).stem, option(arguments, "steps") is not None or chosen.recipe not in RECIPES
    if kind is not None or chosen.prior == "yes" or (chosen.prior == "auto" and not alone):
        train_both(config, chosen.options, chosen.out, recipe=name, prior_kind=kind)
        note(f"The report is {chosen.out / REPORT}. Next: vqvae sample {chosen.out} --out samples")
    else:
        train_tokenizer(config, chosen.options, chosen.out, recipe=name)
        note(f"The report is {chosen.out / REPORT}. Next: vqvae train-prior {chosen.out}")
    return 0


def _default(arguments: Sequence[str]) -> Arguments:
    """The settings of the recipe or the file that the arguments name.

    Raises:
        WrongUse: if they name neither.
        ConfigError: if the file cannot be read, or the recipe needs data.
    """
    words, file, helping = first_words(arguments), option(arguments, "settings"), "--help-all" in arguments
    name = words[0] if words else "images" if helping else file or ""
    if file is None and name.endswith(".json"):
        file = name
    if file is None and name not in RECIPES:
        came = f"There is no recipe '{name}'." if name else "The name of a recipe comes first."
        raise WrongUse(f"{came} The recipes are {', '.join(RECIPES)}. See: vqvae train --help")
    data = option(arguments, "data")
    if helping and file is None and data is None:  # Help does not need the data that training does.
        found = RECIPES[name].tokenizer("FOLDER")
        shown = Arguments(recipe=name, out=Path("runs") / name, config=found)
        return without_value(shown, ("config", "data", "path")) if hasattr(found.data, "path") else shown
    config = RECIPES[name].tokenizer(data, **_looked_at(RECIPES[name], arguments)) if file is None else read_settings(typed_path(file))
    return Arguments(recipe=name, out=Path("runs") / Path(name).stem, config=config)


def _looked_at(recipe: Recipe, arguments: Sequence[str]) -> dict[str, str]:
    """The settings of the data that affect the recipe's other defaults, as words."""
    words = {name: option(arguments, f"data.{name.replace('_', '-')}") or option(arguments, f"data.{name}") for name in recipe.looks_at}
    return {name: word for name, word in words.items() if word is not None}
