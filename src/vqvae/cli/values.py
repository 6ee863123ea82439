"""How the values of flags are read, and what stands for them in ``--help-all``: N, X, TEXT, FILE."""

import functools
import operator
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Annotated, Any

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo, UnsupportedTypeAnnotationError

from vqvae.cli.flags import members
from vqvae.disk import typed_path

Run = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
Files = Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE ...")]
File = Annotated[Path, tyro.conf.arg(metavar="FILE")]
Folder = Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
Data = Annotated[str | None, tyro.conf.arg(metavar="FOLDER")]
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
