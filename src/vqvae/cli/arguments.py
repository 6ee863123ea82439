"""Functions that the commands share: they read arguments and print results."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import tyro

from vqvae.cli.flags import check_known, flags_of, with_switches
from vqvae.cli.kinds import choose_kinds, without_none
from vqvae.cli.values import VALUES
from vqvae.pipeline import local_run
from vqvae.reports.measures import in_words, measure
from vqvae.words import duration
from vqvae.words import say as say_line

T = TypeVar("T")
RUNS = ("run", "runs", "beside")
"""The arguments that are run folders."""


def parse(kind: type[T], command: str, arguments: Sequence[str], description: str, default: T | None = None) -> T:
    """Read arguments into a dataclass. Wrong arguments end the program with status 2. ``--help-all`` prints all flags and ends it with 0.

    Raises:
        WrongUse: if there is no such flag or no such kind of part.
    """
    rest = ["--help" if argument == "--help-all" else argument for argument in arguments]
    if default is not None:
        default, rest = choose_kinds(default, rest)
    known = list(flags_of(kind, default))
    rest = with_switches(rest, known)
    check_known(rest, known, command)
    if default is not None:
        default, rest = without_none(default, rest, known)
    # A part keeps the kind that is chosen by now and shows the fields of that kind. Otherwise it would become a sub-command.
    flags = (tyro.conf.AvoidSubcommands,)
    chosen = tyro.cli(kind, args=rest, prog=f"vqvae {command}", description=description, default=default, config=flags, registry=VALUES)
    return _with_local_runs(chosen)


def _with_local_runs(chosen: T) -> T:
    """The arguments, with local copies in place of runs on the Hub."""
    assert dataclasses.is_dataclass(chosen) and not isinstance(chosen, type)
    given: dict[str, Any] = {name: value for name in RUNS if (value := getattr(chosen, name, None)) is not None}
    found = {name: tuple(map(local_run, value)) if isinstance(value, tuple) else local_run(value) for name, value in given.items()}
    return dataclasses.replace(chosen, **{name: value for name, value in found.items() if value != given[name]})


def first_words(arguments: Sequence[str]) -> list[str]:
    """The arguments before the first flag. They determine the defaults of all others."""
    words = []
    for argument in arguments:
        if argument.startswith("-"):
            break
        words.append(argument)
    return words


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value of ``--name VALUE`` or ``--name=VALUE``, read before all other arguments."""
    for i, argument in enumerate(arguments):
        if argument == f"--{name}" and i + 1 < len(arguments):
            return arguments[i + 1]
        if argument.startswith(f"--{name}="):
            return argument.partition("=")[2]
    return None


def say(values: Mapping[str, Any], as_json: bool) -> None:
    """Print results on stdout: as one JSON object, or one line each, in words and with units."""
    if as_json:
        print(json.dumps(values))
    else:
        say_table([_line(name, value) for name, value in values.items()])


def say_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and their descriptions in two columns on stdout."""
    width = max((len(name) for name, _ in rows), default=0)
    for name, words in rows:
        print(f"{name:<{width}}  {words}")


def note(words: str) -> None:
    """Print something that is not a result on stderr. Of the processes of torchrun, only the first prints."""
    if os.environ.get("RANK", "0") == "0":
        say_line(words)


def _line(name: str, value: Any) -> tuple[str, str]:
    """A result in words: its title, and its value with its unit."""
    if name == "seconds_by_stage":
        return "Time by stage", ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in value.items())
    title = measure(name).title
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return title, _words(value)
    if name == "seconds":
        return title, duration(value)
    number, unit = in_words(name, value)
    return title, f"{number} {unit}".rstrip()


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "-"
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
