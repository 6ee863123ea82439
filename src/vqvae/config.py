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
from typing import Any

from vqvae.errors import ConfigError

KIND = "kind"


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


def from_json(annotation: Any, data: Any, where: str = "config") -> Any:
    """Build the configuration that ``annotation`` (a dataclass or a Union of them) describes.

    Raises:
        ConfigError: an unknown kind or field, a missing field, or a value of the wrong type, with its path.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return from_json(arguments[0], data, where)
    if origin in (typing.Union, types.UnionType):
        return _from_union(arguments, data, where)
    if origin is typing.Literal:
        if data not in arguments:
            raise ConfigError(f"{where} is {data!r}; it must be one of {list(arguments)}.")
        return data
    if origin is tuple:
        return _from_tuple(arguments, data, where)
    if dataclasses.is_dataclass(annotation):
        return _from_dataclass(annotation, data, where)
    return _from_plain(annotation, data, where)


def dumps(config: Any) -> str:
    """The configuration as indented JSON text with a final newline."""
    return json.dumps(to_json(config), indent=2) + "\n"


def differences(old: Any, new: Any, where: str = "config") -> list[str]:
    """The fields in which two JSON trees differ, one line each: ``config.steps: 100 -> 200``."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{where}.{key}")]
    return [] if old == new else [f"{where}: {old!r} -> {new!r}"]


def completed(annotation: Any, data: Any) -> Any:
    """A stored JSON tree as this release would write it: fields that came since have their defaults. One that cannot be read stays."""
    try:
        return to_json(from_json(annotation, data))
    except ConfigError:
        return data


def _from_union(members: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in members:
        return None
    classes = {member.__name__: member for member in members if dataclasses.is_dataclass(member)}
    if isinstance(data, dict):
        kind = data.get(KIND)
        if kind not in classes:
            raise ConfigError(f"{where}.{KIND} is {kind!r}; it must be one of {sorted(classes)}.")
        return _from_dataclass(classes[kind], data, where)
    for member in members:
        if member is not type(None) and not dataclasses.is_dataclass(member):
            try:
                return from_json(member, data, where)
            except ConfigError:
                continue
    raise ConfigError(f"{where} is {data!r}; it must be one of {[getattr(m, '__name__', str(m)) for m in members]}.")


def _from_tuple(arguments: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise ConfigError(f"{where} is {data!r}; it must be a list.")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(from_json(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    if len(data) != len(arguments):
        raise ConfigError(f"{where} has {len(data)} entries; it must have {len(arguments)}.")
    return tuple(from_json(a, item, f"{where}[{i}]") for i, (a, item) in enumerate(zip(arguments, data, strict=True)))


def _from_dataclass(cls: Any, data: Any, where: str) -> Any:
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
    return cls(**{name: from_json(hints[name], value, f"{where}.{name}") for name, value in data.items() if name != KIND})


def _from_plain(annotation: Any, data: Any, where: str) -> Any:
    if annotation is type(None) and data is None:
        return None
    if annotation is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if annotation in (bool, int, float, str) and type(data) is annotation:
        return data
    raise ConfigError(f"{where} is {data!r}; it must be of type {getattr(annotation, '__name__', annotation)}.")
