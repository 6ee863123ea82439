"""The flags of a command, from its dataclass: which exist, which are switches, and which one a wrong flag probably meant."""

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import tyro

from vqvae.errors import ConfigError

_POSITIONAL = typing.get_args(tyro.conf.Positional[int])[1]
MEANT = {
    **dict.fromkeys(("lr", "rate", "learning"), "learning-rate"),
    **dict.fromkeys(("epoch", "epochs", "iterations", "iters", "num-steps", "max-steps"), "steps"),
    **dict.fromkeys(("batch", "bs", "b"), "batch-size"),
    **dict.fromkeys(("output", "output-dir", "out-dir", "o"), "out"),
    **dict.fromkeys(("dataset", "data-dir", "folder", "path", "input", "d"), "data"),
    **dict.fromkeys(("gpu", "cuda", "cpu"), "device"),
    **dict.fromkeys(("k", "codes", "num-codes", "codebook", "num-embeddings"), "codebook-size"),
    **dict.fromkeys(("n", "num", "number", "num-samples", "samples"), "count"),
    **dict.fromkeys(("image-size", "resolution"), "size"),
    **dict.fromkeys(("config", "config-file"), "settings"),
    **dict.fromkeys(("force", "f"), "overwrite"),
}
"""Names that other programs have for our flags."""


class WrongUse(ConfigError):
    """A command line that cannot be read; the exit status is 2."""

    exit_code = 2


class Flag(NamedTuple):
    """One flag of a command."""

    name: str
    """Without the dashes, such as ``model.quantizer.dim``."""
    path: tuple[str, ...]
    """The fields that lead to its value."""
    annotation: Any
    """The type of the value."""
    value: Any
    """The default; ``dataclasses.MISSING`` if there is none."""

    @property
    def is_switch(self) -> bool:
        """Whether the flag stands alone: ``--name`` or ``--no-name``."""
        return self.annotation in (bool, bool | None)

    @property
    def kinds(self) -> tuple[type, ...]:
        """The configurations to choose from, if the value is a part that comes in several kinds."""
        return tuple(kind for kind in members(self.annotation) if dataclasses.is_dataclass(kind))

    @property
    def is_part(self) -> bool:
        """Whether the value is a configuration with flags of its own."""
        return dataclasses.is_dataclass(self.value)

    @property
    def off(self) -> str:
        """The name that turns a switch off, without the dashes."""
        before, dot, last = self.name.rpartition(".")
        return f"{before}{dot}no-{last}"


def members(annotation: Any) -> tuple[Any, ...]:
    """The types of a Union; of anything else only itself."""
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else (annotation,)


def flags_of(kind: Any, default: Any = None, prefix: str = "", path: tuple[str, ...] = ()) -> Iterator[Flag]:
    """The flags of a dataclass, with each part before the flags of its fields. Positional arguments are not flags.

    Args:
        kind: the dataclass.
        default: an instance with the defaults, if they are not those of the class.
        prefix: the beginning of the names.
        path: the beginning of the paths.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        annotation, marks = _bare(hints[field.name])
        if _POSITIONAL in marks:
            continue
        own = next((mark.name for mark in marks if getattr(mark, "name", None) is not None), field.name.replace("_", "-"))
        name = f"{prefix}.{own}" if prefix and own else prefix + own
        flag = Flag(name, (*path, field.name), annotation, _default(field) if default is None else getattr(default, field.name))
        if flag.is_part:
            yield flag
            yield from flags_of(type(flag.value), flag.value, name, flag.path)
        else:
            yield flag


def with_switches(arguments: Sequence[str], known: Sequence[Flag]) -> list[str]:
    """The arguments with ``--flag``, ``--flag True`` and ``--flag=true`` as ``--flag``, and their opposites as ``--no-flag``.

    ``--flag None`` stays as it is if None is allowed.
    """
    switches = {flag.name: flag for flag in known if flag.is_switch}
    opposites = {name: flag for flag in switches.values() for name in (flag.off, f"no-{flag.name}")}
    out, rest = [], list(arguments)
    while rest:
        token = rest.pop(0)
        name, equals, value = flag_name(token), *token.partition("=")[1:]
        if (flag := switches.get(name) or opposites.get(name)) is None:
            out.append(token)
            continue
        words = ("true", "false") if flag.annotation is bool else ("true", "false", "none")
        if not equals and rest and rest[0].lower() in words:
            value = rest.pop(0)
        if flag.annotation is not bool and name in switches and value.lower() == "none":
            out += [f"--{flag.name}", "None"]
            continue
        if value.lower() not in ("", "true", "false") or (equals and not value):
            raise WrongUse(f"{token} is neither True nor False. Write --{flag.name} or --{flag.off}.")
        on = (name in switches) == (value.lower() != "false")
        out.append(f"--{flag.name if on else flag.off}")
    return out


def check_known(arguments: Sequence[str], known: Sequence[Flag], command: str) -> None:
    """Raise WrongUse if a flag does not exist; name the one that was probably meant."""
    names = [name for flag in known for name in ((flag.name, flag.off) if flag.is_switch else (flag.name,))]
    for token in arguments:
        name = flag_name(token)
        if not name or name in (*names, "h", "help"):
            continue
        near = suggestions(name, names)
        hint = f" Did you mean {' or '.join(f'--{one}' for one in near)}?" if near else ""
        if MEANT.get(name) == "steps" and name.startswith("epoch"):
            hint += " An epoch has (training examples / batch size) steps."
        raise WrongUse(f"There is no flag {token.partition('=')[0]}.{hint} All flags: vqvae {command} --help-all")


def flag_name(token: str) -> str:
    """The name of a flag as it is listed; empty if an argument is not a flag."""
    found = re.fullmatch(r"(?:--([A-Za-z][\w.-]*)|-([A-Za-z]))(?:=.*)?", token, re.DOTALL)
    return (found[1] or found[2]).replace("_", "-") if found else ""


def suggestions(name: str, names: Sequence[str]) -> list[str]:
    """The flags that a wrong name probably meant: at most two, the likeliest first."""
    last = name.rpartition(".")[2]
    wanted = MEANT.get(last, last)
    exact = [one for one in names if one == wanted] or [one for one in names if one.rpartition(".")[2] == wanted]
    if exact:
        return sorted(exact, key=lambda one: (one.count("."), one.startswith("adversary")))[: 1 if wanted == "learning-rate" else 2]
    near = get_close_matches(name, names, n=1) or get_close_matches(last, [one.rpartition(".")[2] for one in names], n=1)
    return [one for one in names if one in near or one.rpartition(".")[2] in near][:2]


def _bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without ``Annotated``, and the annotations."""
    if typing.get_origin(annotation) is typing.Annotated:
        first, *marks = typing.get_args(annotation)
        return first, tuple(marks)
    return annotation, ()


def _default(field: Any) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
