"""Frozen dataclass trees to and from JSON. Reading is strict; errors name the wrong field and the valid ones.

A configuration is a frozen, keyword-only dataclass of plain values, tuples and further configurations. In JSON every
configuration carries its class name under ``"kind"``, so that a ``Union`` of configurations is read back without guessing
and without importing anything by name: only the classes in the type annotations can be built.
"""

import dataclasses
import difflib
import functools
import json
import math
import numbers
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, dataclass_transform

from vqvae.errors import ConfigError

C = TypeVar("C")

KIND = "kind"
Foreign = Any
"""In the annotation of a setting: it may also be a configuration of the user's own, any frozen dataclass with a ``build``. To read it
back, the caller names its class."""
Parts = Sequence[type]
DEEPEST = 64
"""Nesting levels of JSON; more than any configuration has."""
LARGEST_INT = 2**63 - 1
COUNT = (0, 2**31 - 1)
"""Bounds of every integer setting, unless the metadata of its field has others: ``field(metadata={"bounds": (-8, 8)})``. The product of
two sizes still fits an int64."""
VALUE = "value"
"""Key of the metadata of a field: what stands for the value of its flag in ``--help-all``: ``field(metadata={"value": "FOLDER"})``.
Default: a word for its type."""
SEED = {"bounds": (-LARGEST_INT, LARGEST_INT)}
"""Metadata of a seed: any integer of at most 63 bits, with its sign."""
CODEBOOK = {"bounds": (0, 2**31)}
"""Metadata of the number of codes that a prior knows: what 32-bit storage holds."""
THREADS = {"bounds": (1, 1024)}
"""Metadata of a number of threads: the system would start any number of them."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field,))
def settings(cls: type[C]) -> type[C]:
    """Make a class a configuration: a frozen, keyword-only dataclass that checks its values when it is made.

    All entrances share this check: Python, JSON files and flags. Integers become floats, lists become tuples and NumPy's numbers
    become Python's where the annotation asks for it. Floats must be finite. ``build`` gives float32 modules, whatever torch's default
    type is, and checks the size of a module before it takes memory.

    Raises:
        ConfigError: at construction, a value that the annotation of its field does not allow, or an integer outside its bounds
            (``COUNT``).
    """
    checks_more: Callable[[Any], None] | None = getattr(cls, "__post_init__", None)

    def __post_init__(self: Any) -> None:
        check_values(self)
        if checks_more is not None:
            checks_more(self)

    if "build" in vars(cls):
        setattr(cls, "build", _guarded(vars(cls)["build"]))  # noqa: B010  # The type of cls has no build.
    setattr(cls, "__post_init__", __post_init__)  # noqa: B010
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def check_values(config: Any) -> None:
    """Check every value of a configuration against the annotation of its field; see ``settings``.

    Raises:
        ConfigError: a value of the wrong type, an unknown choice, or a float that is not finite.
    """
    hints = _hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        checked = from_json(hints[field.name], value, f"{type(config).__name__}.{field.name}")
        if checked is not value:
            object.__setattr__(config, field.name, checked)
        _check_bounds(checked, field.metadata.get("bounds", COUNT), f"{type(config).__name__}.{field.name}")


def _check_bounds(value: Any, bounds: tuple[int, int], where: str) -> None:
    """Raise ConfigError for an integer, or an integer in a tuple, that is outside the bounds."""
    if isinstance(value, tuple):
        for item in value:
            _check_bounds(item, bounds, where)
    elif type(value) is int and not bounds[0] <= value <= bounds[1]:
        raise ConfigError(f"{where} is {value}; it must lie between {bounds[0]} and {bounds[1]}.")


def _guarded(build: Callable[..., Any]) -> Callable[..., Any]:
    """``build`` under ``vqvae.building``."""

    @functools.wraps(build)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        from vqvae.building import build_module, building, check_sizes  # Here, because torch is slow to import and JSON needs none.

        name = type(self).__name__
        if _makes_module(build):
            part = build_module(lambda: build(self, *args, **kwargs), name)
        else:
            with building(name):
                part = build(self, *args, **kwargs)
        check_sizes(part, name)
        return part

    return guarded


@functools.cache
def _makes_module(build: Callable[..., Any]) -> bool:
    """Whether ``build`` is annotated to return a module. Data sets have a ``build``, too, which reads files."""
    from torch import nn

    try:
        made = typing.get_type_hints(build).get("return")
    except NameError:
        return False
    return isinstance(made, type) and issubclass(made, nn.Module)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


INCIDENTAL = {"incidental": True}
"""Metadata of a field that does not affect what is learned, such as the path of the data. It may change when a run is resumed."""


def to_json(config: Any) -> Any:
    """Turn a configuration (or a plain value inside one) into what ``json.dumps`` takes."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        fields = {field.name: to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}
        return {KIND: type(config).__name__, **fields}
    if isinstance(config, (tuple, list)):
        return [to_json(item) for item in config]
    if config is None or isinstance(config, (bool, int, float, str)):
        return config
    raise ConfigError(f"A configuration cannot contain a {type(config).__name__}; use numbers, strings, None, tuples and configurations.")


def from_json(annotation: Any, data: Any, where: str = "config", parts: Parts = ()) -> Any:
    """Build the configuration that ``annotation`` (a dataclass or a Union of them) describes.

    Args:
        where: its name in errors.
        parts: the caller's own configuration classes, for settings that may be ``Foreign``.

    Raises:
        ConfigError: an unknown kind or field, a missing field, or a value of the wrong type, with its path.
    """
    try:
        return _read(annotation, data, where, parts)
    except RecursionError as error:
        raise ConfigError(f"{where} is nested too deeply.") from error


def loads(text: str, where: str = "The text") -> Any:
    """Parse JSON that a stranger may have written.

    Raises:
        ConfigError: it is not JSON, is nested deeper than ``DEEPEST``, has a duplicate key, or contains text that is not Unicode.
    """
    try:
        data = json.loads(text, object_pairs_hook=_unique)
    except (RecursionError, MemoryError) as error:
        raise ConfigError(f"{where} is not valid JSON: it is nested too deeply, or too large.") from error
    except ValueError as error:
        raise ConfigError(f"{where} is not valid JSON: {shown(str(error), 100)}.") from error
    level = [data]
    for _ in range(DEEPEST):
        if not level:
            return data
        for value in level:
            _check_text(value, where)
        level = [
            inner for value in level for inner in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
        ]
    raise ConfigError(f"{where} is nested deeper than {DEEPEST} levels.")


def shown(value: Any, length: int = 60) -> str:
    """A value for an error message, cut to ``length`` characters."""
    try:
        words = value if isinstance(value, str) and length >= 100 else repr(value)
    except (ValueError, RecursionError):  # A number of thousands of digits; lists of thousands of levels.
        words = f"a huge {type(value).__name__}"
    return words if len(words) <= length else f"{words[: length - 1]}…"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a duplicate key")
    return found


def _check_text(value: Any, where: str) -> None:
    """Raise ConfigError for half of a surrogate pair, which cannot be written or printed."""
    for text in (value,) if isinstance(value, str) else value if isinstance(value, dict) else ():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{where} contains text that is not valid Unicode: {shown(text)}.") from error


def _read(annotation: Any, data: Any, where: str, parts: Parts) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _read(arguments[0], data, where, parts)
    if origin in (typing.Union, types.UnionType):
        return _from_union(arguments, data, where, parts)
    if origin is typing.Literal:
        if not any(type(data) is type(choice) and data == choice for choice in arguments):
            raise ConfigError(f"{where} is {shown(data)}; it must be one of {list(arguments)}.")
        return data
    if origin is tuple:
        return _from_tuple(arguments, data, where, parts)
    if dataclasses.is_dataclass(annotation):
        return _from_dataclass(annotation, data, where, parts)
    return _from_plain(annotation, data, where)


def essence(config: Any) -> Any:
    """``to_json`` of a configuration without its incidental fields: the part that determines what is learned."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        fields = [one.name for one in dataclasses.fields(config) if not one.metadata.get("incidental")]
        return {KIND: type(config).__name__, **{name: essence(getattr(config, name)) for name in fields}}
    return [essence(item) for item in config] if isinstance(config, (tuple, list)) else to_json(config)


def dumps(config: Any) -> str:
    """The configuration as indented JSON text with a final newline."""
    return json.dumps(to_json(config), indent=2) + "\n"


def check_at_least(least: float, owner: Any, *fields: str, **values: float | None) -> None:
    """Raise ConfigError unless numbers are at least ``least``, or None.

    Args:
        owner: the configuration that has ``fields``, or a name for the owner of ``values`` ("": none).
        fields: names of numbers of the configuration.
        values: other numbers, by name.
    """
    where = owner if isinstance(owner, str) else type(owner).__name__
    for name, value in {**{field: getattr(owner, field) for field in fields}, **values}.items():
        if value is not None and not value >= least:  # NaN compares false.
            raise ConfigError(f"{where}{'.' if where else ''}{name} is {value}; it must be at least {least:g}.")


def differences(old: Any, new: Any, where: str = "config") -> list[str]:
    """The fields in which two JSON trees differ, one line each: ``config.steps: 100 -> 200``."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{where}.{key}")]
    return [] if old == new else [f"{where}: {old!r} -> {new!r}"]


def kinds(config: Any) -> tuple[type, ...]:
    """The classes of a configuration and of all configurations inside it, as ``parts`` for ``from_json``."""
    found: dict[type, None] = {}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        found[type(config)] = None
        inside: Any = [getattr(config, field.name) for field in dataclasses.fields(config)]
    else:
        inside = config if isinstance(config, (tuple, list)) else ()
    for value in inside:
        found |= dict.fromkeys(kinds(value))
    return tuple(found)


def completed(annotation: Any, data: Any, parts: Parts = ()) -> Any:
    """A stored JSON tree as this release would write it: newer fields get their defaults. An unreadable tree is returned as it is."""
    try:
        return to_json(from_json(annotation, data, parts=parts))
    except ConfigError:
        return data


def _from_union(members: tuple[Any, ...], data: Any, where: str, parts: Parts) -> Any:
    if data is None and type(None) in members:
        return None
    classes = {member.__name__: member for member in members if dataclasses.is_dataclass(member)}
    foreign = _by_name(parts) if Foreign in members else {}
    is_config = dataclasses.is_dataclass(data) and not isinstance(data, type)
    if is_config and (isinstance(data, tuple(classes.values())) or Foreign in members):
        return data
    if isinstance(data, dict):
        kind = data.get(KIND)
        if not isinstance(kind, str) or kind not in classes and kind not in foreign:
            named = kind if isinstance(kind, str) else "MyConfig"
            hint = f" If it is a configuration of your own, give its class: parts=[{named}]." if Foreign in members else ""
            raise ConfigError(f"{where}.{KIND} is {shown(kind)}; it must be one of {sorted([*classes, *foreign])}.{hint}")
        return _from_dataclass(classes[kind] if kind in classes else foreign[kind], data, where, parts)
    plain = [member for member in members if member not in (type(None), Foreign) and not dataclasses.is_dataclass(member)]
    if len(plain) == 1 and isinstance(data, float):  # Its error says more, such as that NaN is not finite.
        return _read(plain[0], data, where, parts)
    for member in plain:
        try:
            return _read(member, data, where, parts)
        except ConfigError:
            continue
    raise ConfigError(
        f"{where} is {shown(data)}; it must be one of {[getattr(m, '__name__', str(m)) for m in members if m is not Foreign]}."
    )


def _by_name(parts: Parts) -> dict[str, type]:
    """The caller's own configurations by their names."""
    if isinstance(parts, type) or not all(isinstance(part, type) for part in parts):
        raise ConfigError(f"parts is {parts!r}; a list of classes of configurations is expected: parts=[MyConfig].")
    named = {part.__name__: part for part in parts}
    for part in parts:
        if named[part.__name__] is not part:
            raise ConfigError(f"Two configurations are called {part.__name__}: {part} and {named[part.__name__]}. Give one another name.")
    return named


def _from_tuple(arguments: tuple[Any, ...], data: Any, where: str, parts: Parts) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise ConfigError(f"{where} is {shown(data)}; it must be a list.")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_read(arguments[0], item, f"{where}[{i}]", parts) for i, item in enumerate(data))
    if len(data) != len(arguments):
        raise ConfigError(f"{where} has {len(data)} entries; it must have {len(arguments)}.")
    return tuple(_read(a, item, f"{where}[{i}]", parts) for i, (a, item) in enumerate(zip(arguments, data, strict=True)))


def _from_dataclass(cls: Any, data: Any, where: str, parts: Parts) -> Any:
    if isinstance(data, cls):
        return data
    if not isinstance(data, dict):
        raise ConfigError(f"{where} is {shown(data)}; it must be an object with the fields of {cls.__name__}.")
    if data.get(KIND, cls.__name__) != cls.__name__:
        raise ConfigError(f"{where}.{KIND} is {shown(data[KIND])}; it must be {cls.__name__!r}.")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = _hints(cls)
    for name in data:
        if name != KIND and name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where} ({cls.__name__}) has no field {shown(name)}; it has {list(fields)}.{hint}")
    missing = [
        name
        for name, field in fields.items()
        if name not in data and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where} ({cls.__name__}) lacks the fields {missing}.")
    return cls(**{name: _read(hints[name], value, f"{where}.{name}", parts) for name, value in data.items() if name != KIND})


def _from_plain(annotation: Any, data: Any, where: str) -> Any:
    if annotation is type(None) and data is None:
        return None
    if type(data) is int and annotation in (int, float) and not -LARGEST_INT <= data <= LARGEST_INT:
        raise ConfigError(f"{where} is {shown(data)}; it must be a number of at most 63 bits.")
    if type(data) is annotation:
        value = data
    elif annotation is float and isinstance(data, numbers.Real) and not isinstance(data, bool):
        value = float(data)
    elif annotation is int and isinstance(data, numbers.Integral) and not isinstance(data, bool):
        value = int(data)
    elif isinstance(annotation, type) and annotation not in (bool, int, float) and isinstance(data, annotation):
        value = data
    else:
        raise ConfigError(f"{where} is {shown(data)}; it must be of type {getattr(annotation, '__name__', annotation)}.")
    if annotation is float and not math.isfinite(value):
        raise ConfigError(f"{where} is {value}; it must be a finite number.")
    return value
