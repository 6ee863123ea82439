"""How the values of flags are read, and how ``--help-all`` shows them: N, X, TEXT, FILE, and their defaults."""

import dataclasses
import functools
import operator
import re
import typing
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Annotated, Any

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
    UnsupportedTypeAnnotationError,
)

from vqvae.cli.flags import members
from vqvae.config import VALUE
from vqvae.disk import typed_path

Run = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
Files = Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE ...")]
File = Annotated[Path, tyro.conf.arg(metavar="FILE")]
Folder = Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
Data = Annotated[str | None, tyro.conf.arg(metavar="PATH")]
Name = Annotated[str | None, tyro.conf.arg(metavar="NAME")]
Checkpoint = Annotated[str | None, tyro.conf.arg(metavar="best|STEP")]
Mode = Annotated[str | None, tyro.conf.arg(metavar="prior|static|packed")]
Device = Annotated[str, tyro.conf.arg(metavar="DEVICE")]
Minutes = Annotated[float | None, tyro.conf.arg(metavar="MINUTES")]
Range = Annotated[tuple[float, float] | None, tyro.conf.arg(metavar="LOW HIGH")]
Seconds = Annotated[float | None, tyro.conf.arg(metavar="SECONDS")]
VALUES = ConstructorRegistry()
"""The rules for ``tyro.cli``."""


def _read(kind: Callable[[str], Any], expected: str) -> Callable[[list[str]], Any]:
    def read(words: list[str]) -> Any:
        try:
            return kind(words[0])
        except ValueError:
            raise ValueError(f"{words[0]!r} is not {expected}") from None

    return read


_PLAIN: dict[Any, tuple[str, Callable[[list[str]], Any]]] = {
    int: ("N", _read(int, "a whole number")),
    float: ("X", _read(float, "a number")),
    str: ("TEXT", _read(str, "text")),
    Path: ("FILE", _read(typed_path, "a path")),
}
"""For each type, the word in the help, and how a value is read."""


@VALUES.primitive_rule
def _plain(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """Numbers, texts and paths."""
    if info.type not in _PLAIN:
        return None
    word, read = _PLAIN[info.type]
    kinds = {int: int, float: (float, int), str: str, Path: PurePath}[info.type]
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=word,
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, kinds) and not isinstance(value, bool),
        str_from_instance=lambda value: [str(value)],
    )


@VALUES.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | UnsupportedTypeAnnotationError | None:
    """A value or None. The help shows the value alone; the word None works too."""
    kinds = members(info.type)
    if type(None) not in kinds or len(kinds) < 2:
        return None
    rest = functools.reduce(operator.or_, (kind for kind in kinds if kind is not type(None)))
    inner = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(rest, info.markers))
    if isinstance(inner, UnsupportedTypeAnnotationError):
        return inner
    own = inner.nargs
    counts = () if own == "*" else tuple(sorted({1, *(own if isinstance(own, tuple) else (own,))}))
    return PrimitiveConstructorSpec(
        nargs="*" if not counts else 1 if counts == (1,) else counts,
        metavar=inner.metavar,
        instance_from_str=lambda words: None if words == ["None"] else inner.instance_from_str(words),
        is_instance=lambda value: value is None or inner.is_instance(value),
        str_from_instance=lambda value: ["None"] if value is None else inner.str_from_instance(value),
        choices=None if inner.choices is None else (*inner.choices, "None"),
    )


@VALUES.primitive_rule
def _several(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | UnsupportedTypeAnnotationError | None:
    """Any number of values of one type."""
    found = typing.get_args(info.type)
    if typing.get_origin(info.type) is not tuple or found[1:] != (...,):
        return None
    inner = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(found[0], info.markers))
    if isinstance(inner, UnsupportedTypeAnnotationError):
        return inner
    return PrimitiveConstructorSpec(
        nargs="*",
        metavar=f"{inner.metavar} ...",
        instance_from_str=lambda words: tuple(inner.instance_from_str([word]) for word in words),
        is_instance=lambda values: isinstance(values, tuple) and all(map(inner.is_instance, values)),
        str_from_instance=lambda values: [word for value in values for word in inner.str_from_instance(value)],
        choices=inner.choices,
    )


_being_read: list[type] = []


@VALUES.struct_rule
def _configuration(info: StructTypeInfo) -> StructConstructorSpec | None:
    """A dataclass as tyro reads it. Values have the names in the metadata of the fields. Each switch has a pair of flags."""
    if not dataclasses.is_dataclass(info.type) or info.type in _being_read:
        return None
    _being_read.append(info.type)
    try:
        spec = ConstructorRegistry.get_struct_spec(info)
    finally:
        _being_read.pop()
    if not isinstance(spec, StructConstructorSpec):
        return None
    words = {field.name: field.metadata.get(VALUE) for field in dataclasses.fields(info.type)}
    return dataclasses.replace(spec, fields=tuple(_named(field, words[field.name]) for field in spec.fields))


def _named(field: StructFieldSpec, word: str | None) -> StructFieldSpec:
    kind: Any = field.type
    if kind == bool | None:
        kind = tyro.conf.DisallowNone[kind]  # tyro then has a pair of flags for it.

    def text() -> str | None:
        return _as_shown(field.helptext)

    if not dataclasses.is_dataclass(field.default):
        kind = Annotated[kind, tyro.conf.arg(metavar=word, help_behavior_hint=lambda default: _default_words(text() or "", default))]
    return dataclasses.replace(field, type=kind, helptext=text)


def _as_shown(words: str | Callable[[], str | None] | None) -> str | None:
    """A docstring as a terminal shows it: each paragraph on one line, which tyro wraps, and without the marks of code."""
    text = words() if callable(words) else words
    return text and re.sub(r"(?<!\n)\n(?!\n)\s*", " ", re.sub("``(.+?)``", r"\1", text, flags=re.DOTALL))


def _default_words(text: str, default: str) -> str:
    """The default after a help text. Empty if there is none, or if the text names it."""
    return "" if "default:" in text.lower() or default in ("", "''") else f"(default: {default})"
