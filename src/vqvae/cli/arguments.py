"""What the commands share: how arguments are read, and how results are said."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from vqvae import config as configuration
from vqvae.errors import ConfigError
from vqvae.training import RunOptions, TrainConfig

T = TypeVar("T")
# The fields of a configuration are flags of the command itself, and each takes a value: --any.field VALUE.
Settings = Annotated[TrainConfig, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]
Options = Annotated[RunOptions, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff]


def parse(kind: type[T], command: str, arguments: Sequence[str], description: str, default: T | None = None) -> T:
    """Read arguments into a dataclass; wrong ones end the program with status 2, as ``--help`` does with 0."""
    # A setting that is one of several kinds keeps its kind and shows that kind's fields, rather than becoming a sub-command.
    flags = (tyro.conf.AvoidSubcommands, tyro.conf.FlagCreatePairsOff)
    return tyro.cli(kind, args=list(arguments), prog=f"vqvae {command}", description=description, default=default, config=flags)


def first_words(arguments: Sequence[str]) -> list[str]:
    """The arguments before the first option: what decides on the defaults of all others."""
    words = []
    for argument in arguments:
        if argument.startswith("-"):
            break
        words.append(argument)
    return words


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value of ``--name VALUE`` or ``--name=VALUE``, read ahead of all other arguments."""
    for i, argument in enumerate(arguments):
        if argument == f"--{name}" and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith(f"--{name}="):
            return argument.partition("=")[2]
    return None


def read_settings(path: Path) -> TrainConfig:
    """Settings from a JSON file, such as the "training" part of a run's ``tokenizer/config.json``.

    Raises:
        ConfigError: it cannot be read, or holds other fields.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as settings ({error}).") from error
    return configuration.from_json(TrainConfig, data, str(path))


def say(values: Mapping[str, Any], as_json: bool) -> None:
    """Print results on stdout: one JSON object, or a line each."""
    if as_json:
        print(json.dumps(values))
        return
    width = max(map(len, values), default=0)
    for name, value in values.items():
        print(f"{name:<{width}}  {_words(value)}")


def note(words: str) -> None:
    """Say something that is no result, on stderr; of the processes that torchrun has started, the first one speaks."""
    if os.environ.get("RANK", "0") == "0":
        with suppress(OSError):  # Nobody may be there to read it.
            print(words, file=sys.stderr, flush=True)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
