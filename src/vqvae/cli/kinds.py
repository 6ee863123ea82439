"""Flags that choose kinds of parts: ``--model.quantizer fsq`` replaces the recipe's quantizer by one of that kind."""

import copy
import dataclasses
import re
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from vqvae.cli.flags import Flag, WrongUse, flag_name, flags_of, members
from vqvae.priors import MaskedPriorConfig, PixelCNNConfig, TransformerPriorConfig, WaveNetConfig, WorldPriorConfig

T = TypeVar("T")
PRIORS: dict[str, type] = {
    "pixelcnn": PixelCNNConfig,
    "wavenet": WaveNetConfig,
    "world": WorldPriorConfig,
    "masked": MaskedPriorConfig,
    "transformer": TransformerPriorConfig,
}
"""The priors that can be trained."""
FAMILIES = ("Quantizer", "Encoder", "Decoder", "Prior")
"""Last words of class names. The flag already says them, so short names omit them."""


def kind_name(kind: type) -> str:
    """The short name of a configuration: ``EMAQuantizerConfig`` is ``ema``, ``LogisticMixtureConfig`` is ``logistic-mixture``."""
    name = kind.__name__.removesuffix("Config")
    for family in FAMILIES:
        name = name.removesuffix(family) or name
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()
    return parts.replace("wave-net", "wavenet").replace("pixel-cnn", "pixelcnn")


def prior_kind(words: str, others: Sequence[str] = ()) -> type | None:
    """The configuration of the kind of prior that ``--prior`` names; None for one of ``others``.

    Raises:
        WrongUse: if there is no such kind.
    """
    if words in others:
        return None
    if words not in PRIORS:
        raise WrongUse(f"--prior is {words!r}. Choose one of {', '.join((*others, *PRIORS))}.")
    return PRIORS[words]


def choose_kinds(default: T, arguments: Sequence[str]) -> tuple[T, list[str]]:
    """Replace parts by the kinds that flags name. Fields that both kinds have keep their values.

    Returns:
        The new defaults, and the remaining arguments. The defaults are not validated. A required field without a value is
        ``tyro.MISSING``: later arguments may set it.

    Raises:
        WrongUse: if there is no such kind.
    """
    rest, done = list(arguments), set[str]()
    while True:
        flags = list(flags_of(type(default), default))
        # If a plain flag and a part have the same name, the plain flag counts: --data is a folder.
        known = done | {"", *(flag.name for flag in flags if not flag.is_part)}
        flag = next((flag for flag in flags if flag.is_part and flag.name not in known and len(flag.kinds) > 1), None)
        if flag is None:
            return default, rest
        done.add(flag.name)
        rest, words = _taken(rest, flag.name)
        if words is not None:
            default = _replaced(default, flag.path, _converted(flag.value, _class_of(flag, words)))


def without_none(default: T, arguments: Sequence[str], known: Sequence[Flag]) -> tuple[T, list[str]]:
    """Remove ``--flag None`` for each switch that may be None, and make None its default. See ``vqvae.cli.flags.with_switches``."""
    switches = {f"--{flag.name}": flag for flag in known if flag.is_switch and flag.annotation is not bool}
    rest: list[str] = []
    for token in arguments:
        flag = switches.get(rest[-1]) if rest and token == "None" else None
        if flag is None:
            rest.append(token)
            continue
        default = _replaced(default, flag.path, None)
        rest = [one for one in rest if one not in (f"--{flag.name}", f"--{flag.off}")]  # The last value counts.
    return default, rest


def without_value(default: T, path: tuple[str, ...]) -> T:
    """The defaults, with one field reset to the default of its class, or to ``tyro.MISSING`` if it has none."""
    owner: Any = default
    for name in path[:-1]:
        owner = getattr(owner, name)
    value = next(field.default for field in dataclasses.fields(owner) if field.name == path[-1])
    return _replaced(default, path, tyro.MISSING if value is dataclasses.MISSING else value)


def kinds_of(flag: Flag) -> dict[str, type]:
    """The kinds that can replace a part, by name. They are in the same folder, so a model replaces a model and a prior a prior."""
    folder = type(flag.value).__module__.rpartition(".")[0]
    return {kind_name(kind): kind for kind in flag.kinds if kind.__module__.rpartition(".")[0] == folder}


def _class_of(flag: Flag, words: str) -> type:
    known = kinds_of(flag)
    plain = {re.sub("[-_ ]", "", name): kind for name, kind in known.items()} | {kind.__name__.lower(): kind for kind in known.values()}
    found = plain.get(re.sub("[-_ ]", "", words.lower()))
    if found is None:
        raise WrongUse(f"--{flag.name} is {words!r}. Choose one of {', '.join(sorted(known))}.")
    return found


def _taken(arguments: list[str], name: str) -> tuple[list[str], str | None]:
    """The arguments without a flag and its value, and the value. If the flag is given twice, the last value counts."""
    rest, words, i = [], None, 0
    while i < len(arguments):
        token = arguments[i]
        if flag_name(token) != name:
            rest.append(token)
        elif "=" in token:
            words = token.partition("=")[2]
        elif i + 1 < len(arguments) and not arguments[i + 1].startswith("--"):
            i += 1
            words = arguments[i]
        else:
            words = ""
        i += 1
    return rest, words


def _converted(old: Any, kind: type) -> Any:
    """A configuration converted to another kind, not validated. If the old one contains a part of that kind, return that part."""
    inner = next((value for value in (old, *getattr(old, "__dict__", {}).values()) if type(value) is kind), None)
    if inner is not None:
        return inner
    own, others = typing.get_type_hints(kind), typing.get_type_hints(type(old))
    new = object.__new__(kind)
    for field in dataclasses.fields(kind):
        value, wanted = getattr(old, field.name, None), own[field.name]
        if field.name in others and (others[field.name] == wanted or type(value) in members(wanted)):
            pass  # Both kinds have it.
        elif field.default is not dataclasses.MISSING:
            value = field.default
        else:
            value = tyro.MISSING if field.default_factory is dataclasses.MISSING else field.default_factory()
        object.__setattr__(new, field.name, value)
    return new


def _replaced(tree: Any, path: tuple[str, ...], value: Any) -> Any:
    """A copy of a frozen tree with one value replaced. It is not validated."""
    first, *rest = path
    new = copy.copy(tree)
    object.__setattr__(new, first, _replaced(getattr(tree, first), tuple(rest), value) if rest else value)
    return new
