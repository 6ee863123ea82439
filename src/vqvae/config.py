"""Frozen dataclass trees to and from JSON: strict, and naming the wrong field and the right ones.

A configuration is a frozen, keyword-only dataclass of plain values, tuples and further configurations. In JSON every
configuration carries its class name under ``"kind"``, so that a ``Union`` of configurations is read back without guessing
and without importing anything by name: only the classes in the type annotations can be built.
"""

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Sequence
from typing import Any

from vqvae.errors import ConfigError

KIND = "kind"
Foreign = Any
"""Stands in the annotation of a setting that may also be a configuration of the user's own: any frozen dataclass with a ``build``. It is
read back only where the caller names its class."""
Parts = Sequence[type]
INCIDENTAL = {"incidental": True}
"""Metadata of a field that changes nothing that is learned, such as the place of the data: it may differ when a run goes on."""


def to_json(config: Any) -> Any:
    """Turn a configuration (or a plain value inside one) into what ``json.dumps`` takes."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        fields = {field.name: to_json(getattr(config, field.name)) for field in dataclasses.fields(config)}
        return {KIND: type(config).__name__, **fields}
    if isinstance(config, (tuple, list)):
        return [to_json(item) for item in config]
    if config is None or isinstance(config, (bool, int, float, str)):
        return config
    raise ConfigError(f"A configuration cannot hold a {type(config).__name__}; it takes numbers, strings, None, tuples and configurations.")


def from_json(annotation: Any, data: Any, where: str = "config", parts: Parts = ()) -> Any:
    """Build the configuration that ``annotation`` (a dataclass or a Union of them) describes.

    Args:
        where: what errors call it.
        parts: configurations of the caller's own, for settings that may be ``Foreign``.

    Raises:
        ConfigError: an unknown kind or field, a missing field, or a value of the wrong type, with its path.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return from_json(arguments[0], data, where, parts)
    if origin in (typing.Union, types.UnionType):
        return _from_union(arguments, data, where, parts)
    if origin is typing.Literal:
        if data not in arguments:
            raise ConfigError(f"{where} is {data!r}; it must be one of {list(arguments)}.")
        return data
    if origin is tuple:
        return _from_tuple(arguments, data, where, parts)
    if dataclasses.is_dataclass(annotation):
        return _from_dataclass(annotation, data, where, parts)
    return _from_plain(annotation, data, where)


def essence(config: Any) -> Any:
    """``to_json`` of a configuration without its incidental fields: what decides what is learned."""
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
        owner: the configuration that has ``fields``, or in words what ``values`` are settings of ("" where that is plain).
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
    """The classes of a configuration and of all configurations inside it: the ``parts`` that read it back."""
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
    """A stored JSON tree as this release would write it: fields that came since have their defaults. One that cannot be read stays."""
    try:
        return to_json(from_json(annotation, data, parts=parts))
    except ConfigError:
        return data


def _from_union(members: tuple[Any, ...], data: Any, where: str, parts: Parts) -> Any:
    if data is None and type(None) in members:
        return None
    classes = {member.__name__: member for member in members if dataclasses.is_dataclass(member)}
    foreign = _by_name(parts) if Foreign in members else {}
    if isinstance(data, dict):
        kind = data.get(KIND)
        if kind not in classes and kind not in foreign:
            hint = f" If it is a configuration of your own, give its class: parts=[{kind}]." if Foreign in members else ""
            raise ConfigError(f"{where}.{KIND} is {kind!r}; it must be one of {sorted([*classes, *foreign])}.{hint}")
        return _from_dataclass(classes[kind] if kind in classes else foreign[kind], data, where, parts)
    for member in members:
        if member not in (type(None), Foreign) and not dataclasses.is_dataclass(member):
            try:
                return from_json(member, data, where, parts)
            except ConfigError:
                continue
    raise ConfigError(f"{where} is {data!r}; it must be one of {[getattr(m, '__name__', str(m)) for m in members if m is not Foreign]}.")


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
        raise ConfigError(f"{where} is {data!r}; it must be a list.")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(from_json(arguments[0], item, f"{where}[{i}]", parts) for i, item in enumerate(data))
    if len(data) != len(arguments):
        raise ConfigError(f"{where} has {len(data)} entries; it must have {len(arguments)}.")
    return tuple(from_json(a, item, f"{where}[{i}]", parts) for i, (a, item) in enumerate(zip(arguments, data, strict=True)))


def _from_dataclass(cls: Any, data: Any, where: str, parts: Parts) -> Any:
    if not isinstance(data, dict):
        raise ConfigError(f"{where} is {data!r}; it must be an object with the fields of {cls.__name__}.")
    if data.get(KIND, cls.__name__) != cls.__name__:
        raise ConfigError(f"{where}.{KIND} is {data[KIND]!r}; it must be {cls.__name__!r}.")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls, include_extras=True)
    for name in data:
        if name != KIND and name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where} ({cls.__name__}) has no field {name!r}; it has {list(fields)}.{hint}")
    missing = [
        name
        for name, field in fields.items()
        if name not in data and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where} ({cls.__name__}) lacks the fields {missing}.")
    return cls(**{name: from_json(hints[name], value, f"{where}.{name}", parts) for name, value in data.items() if name != KIND})


def _from_plain(annotation: Any, data: Any, where: str) -> Any:
    if annotation is type(None) and data is None:
        return None
    if annotation is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if annotation in (bool, int, float, str) and type(data) is annotation:
        return data
    raise ConfigError(f"{where} is {data!r}; it must be of type {getattr(annotation, '__name__', annotation)}.")
