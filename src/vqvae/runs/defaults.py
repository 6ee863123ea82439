"""The defaults of a run's recipe, and the commands that repeat the run. Settings that differ from the defaults become flags or a file."""

import dataclasses
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqvae.codes import Level
from vqvae.config import Parts
from vqvae.errors import ConfigError, VqvaeError
from vqvae.pipeline import TOKENIZER, about, load, part_of, prior_folder
from vqvae.priors import WorldPriorConfig
from vqvae.recipes import RECIPES, Recipe, fitted
from vqvae.runs.encoding import read_codes
from vqvae.runs.folder import recipe_of, stored_config
from vqvae.training import TrainConfig
from vqvae.words import counted

FALLBACK = {1: "speech-demo", 2: "images", 3: "worlds-video"}
"""If a tokenizer has no recipe, the number of axes of its codes selects the recipe of its prior."""
_BY_DATA = {("data", "path"), ("minutes",)}
"""Settings that do not become flags. ``--data`` gives the path. ``--steps`` gives the steps that the minutes became."""
_DASHED = re.compile(r"-(?!\d+(\.\d+)?$)")
"""Words that the command line reads as a flag: they begin with a dash and are not plain numbers."""
_PYTHON = "# Trained by a Python program. Run it again with the settings below and the same data."


def prior_config(run: Path, level: int = 0, parts: Parts = ()) -> TrainConfig:
    """Return the settings of a level's prior, from the recipe of the run's tokenizer. Without a recipe, see ``FALLBACK``.

    Raises:
        ConfigError: if there is no such level of codes.
    """
    layout = load(run, parts=parts).layout
    check_level(layout, level)
    recipe = RECIPES.get(recipe_of(run, parts)) or RECIPES[FALLBACK.get(len(layout[level].stride), FALLBACK[3])]
    train = read_codes(run, level=level, parts=parts).train
    config = recipe.prior(layout[level], len(train.label_names))
    if isinstance(config.model, WorldPriorConfig):
        length = min(config.model.clip_length, train.batch(np.arange(1)).x.shape[2])
        model = dataclasses.replace(config.model, actions=len(train.action_names), clip_length=length)
        config = dataclasses.replace(config, model=model)
    return config if recipe.sized is None else recipe.sized(config, len(train) * train.batch(np.arange(1)).x[0].numel())


def check_level(layout: Sequence[Level], level: int) -> None:
    """Raise ConfigError unless there is such a level of codes."""
    if not 0 <= level < len(layout):
        raise ConfigError(f"level is {level}; the run has {counted(len(layout), 'levels')} of codes, numbered from 0.")


def commands(run: Path, prior: str = "", parts: Parts = ()) -> str:
    """Return the commands, one per line, that train the tokenizer and the priors of a run again, in the folder ``RUN-again``.

    Args:
        run: the run folder.
        prior: the name of the prior.
        parts: the caller's own configurations in the run.
    """
    recipe, again = about(run, parts).recipe, _plain(f"{run}-again")
    try:
        config = stored_config(run, parts=parts)
    except VqvaeError:
        return _PYTHON
    if config.data is None or not recipe:
        return _PYTHON
    known, path = RECIPES.get(recipe), getattr(config.data, "path", None)
    flags = None if known is None else _flags(config, _defaults(known, config, path))
    place = [*(["--data", _plain(path)] if path else []), "--out", again]
    priors = list(_priors(run, again, prior, config.seed, parts, by_file=known is not None and flags is None))
    if known is not None and flags is not None:
        if priors and not any(priors):
            if known.command and not flags:
                return _joined(*known.command.split(), *place)
            return _joined("vqvae", "train", recipe, *place, *flags, *(["--prior", "yes"] if "--steps" in flags else []))
        lines = [_joined("vqvae", "train", recipe, *place, *flags, "--prior", "no")]
    else:
        lines = [_printed(run, TOKENIZER), _joined("vqvae", "train", f"{TOKENIZER}.json", *place)]
    return "\n".join([*lines, *(line or _joined("vqvae", "train-prior", again, *_seed(config.seed)) for line in priors)])


def _priors(run: Path, again: str, name: str, seed: int, parts: Parts, *, by_file: bool) -> Iterator[str]:
    """The command of each prior of a run; "" if all its settings are the defaults of the recipe.

    If ``by_file``, all settings come from a file, because a tokenizer that is trained from a file has no recipe.
    """
    for level in range(len(about(run, parts).layout)):
        folder = prior_folder(run, level, name)
        if part_of(run, folder) is None:
            continue
        part = folder.relative_to(run).as_posix()
        place = [*(["--level", str(level)] if level else []), *(["--name", name] if name else [])]
        command = ["vqvae", "train-prior", again, *place]
        try:
            config = stored_config(run, part, parts)
            default = dataclasses.replace(prior_config(run, level, parts), seed=seed)
            flags = None if by_file else _flags(config, default)
        except VqvaeError:
            flags = None
        if flags is None:
            file = f"{part.replace('/', '-')}.json"
            yield f"{_printed(run, part, file)}\n{_joined(*command, '--settings', file)}"
        elif flags or place:
            yield _joined(*command, *flags, *([] if "--seed" in flags else _seed(seed)))
        else:
            yield ""


def _defaults(recipe: Recipe, config: TrainConfig, path: str | None) -> TrainConfig | None:
    """The defaults of the recipe for the data of a run. None if they cannot be found, for example because the data has moved."""
    words = {}
    for name in recipe.looks_at:
        value = getattr(config.data, name, None)
        if value is not None:
            words[name] = str(value)
    try:
        default = recipe.tokenizer(path, **words)
    except VqvaeError:
        return None
    # The user gave these as flags, so they are no defaults.
    data: Any = default.data
    usual = {field.name: field.default for field in dataclasses.fields(data) if field.name in words}
    return fitted(dataclasses.replace(default, data=dataclasses.replace(data, **usual)), default)


def _seed(seed: int) -> list[str]:
    """The tokenizer's seed as a flag of the prior's command."""
    return ["--seed", str(seed)] if seed else []


def _flags(config: Any, default: Any, path: tuple[str, ...] = ()) -> list[str] | None:
    """Flags for all values that differ from the defaults. None if flags cannot express them, such as a part of another kind."""
    if type(config) is not type(default):
        return None
    flags: list[str] = []
    for field in dataclasses.fields(config):
        value, usual, place = getattr(config, field.name), getattr(default, field.name), (*path, field.name)
        if value == usual or place in _BY_DATA:
            continue
        if dataclasses.is_dataclass(value) or dataclasses.is_dataclass(usual):
            inner = _flags(value, usual, place)
        else:
            inner = _flag(".".join(place).replace("_", "-"), value)
        if inner is None:
            return None
        flags += inner
    return flags


def _flag(name: str, value: Any) -> list[str] | None:
    """A flag and its value. None if the command line would read the value as something else."""
    values = value if isinstance(value, tuple) else (value,)
    if not all(one is None or isinstance(one, (int, float, str)) for one in values):
        return None
    words = [str(one) for one in values]
    if isinstance(value, bool):
        return [f"--{name}" if value else _off(name)]
    if value == "None" or not words:
        return None
    if len(words) == 1 and words[0].startswith("-"):
        return [f"--{name}={words[0]}"]
    return None if any(_DASHED.match(word) for word in words) else [f"--{name}", *words]


def _off(name: str) -> str:
    """The flag that turns a switch off."""
    before, dot, last = name.rpartition(".")
    return f"--{before}{dot}no-{last}"


def _printed(run: Path, part: str, file: str = "") -> str:
    """The command that prints the settings of a part into a file."""
    which = [] if part == TOKENIZER else ["--part", part]
    return f"{_joined('vqvae', 'info', _plain(str(run)), '--settings', *which)} > {shlex.quote(file or f'{part}.json')}"


def _plain(path: str) -> str:
    """A path that the command line does not read as a flag."""
    return f"./{path}" if path.startswith("-") else path


def _joined(*words: str) -> str:
    return shlex.join(words)
