"""A run's card: what is known about a trained part besides its configuration and weights. It is stored with every part.

Version 2 of the format stores it as ``card``. Version 1 had an untyped object ``extra`` and other names for some tensors; it can still be
read.
"""

import dataclasses
import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vqvae import config as configuration
from vqvae.codes import Level
from vqvae.config import shown
from vqvae.errors import ConfigError
from vqvae.signals import Signal, sound

_RENAMED = re.compile(r"(^|\.)likelihood\.")
_DROPPED = re.compile(r"(^|\.)quantizer\.started$")


@dataclass(frozen=True, kw_only=True)
class RunCard:
    """What is known about a run. Unknown fields are empty."""

    signal: Signal | None = None
    """What the data is, with its sample rate."""
    layout: tuple[Level, ...] = ()
    """The levels of codes."""
    size: tuple[int, ...] | None = None
    """The shape of an example of the training data, without channels. Samples get the same."""
    recipe: str = ""
    """The name of the recipe."""
    data: str = ""
    """The name of the training data, which depends on its content."""
    held_out_data: str = ""
    """The name of the held-out data."""
    label_names: tuple[str, ...] = ()
    """Names of the labels, in the order of their numbers."""
    action_names: tuple[str, ...] = ()
    """Names of the actions, in the order of their numbers."""
    training: Mapping[str, Any] | None = None
    """The training settings, as JSON. None for a part that was not trained by this package."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last scores on held-out data, by their names in the training log."""
    library: str = ""
    """The version of this package that wrote the card."""

    def with_version(self) -> "RunCard":
        """The card with the version of this package."""
        return dataclasses.replace(self, library=importlib.metadata.version("vqvae"))


def card_to_json(card: RunCard) -> dict[str, Any]:
    """The card as a JSON object."""
    plain = {name: getattr(card, name) for name in ("recipe", "data", "held_out_data", "library")}
    lists = {name: list(getattr(card, name)) for name in ("label_names", "action_names")}
    return {
        "signal": None if card.signal is None else configuration.to_json(card.signal),
        "layout": [_level_json(level) for level in card.layout],
        "size": None if card.size is None else list(card.size),
        **plain,
        **lists,
        "training": None if card.training is None else dict(card.training),
        "metrics": dict(card.metrics),
    }


def card_from_json(data: Any) -> RunCard:
    """Read a card.

    Raises:
        ConfigError: it is damaged.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"card is {shown(data)}; it must be an object.")
    unknown = sorted(set(data) - {one.name for one in dataclasses.fields(RunCard)})
    if unknown:
        raise ConfigError(f"card has the unknown fields {shown(unknown)}.")
    for name in ("training", "metrics"):
        if not isinstance(data.get(name), dict | None):
            raise ConfigError(f"card.{name} is {shown(data[name])}; it must be an object.")

    def read(name: str, annotation: Any, default: Any) -> Any:
        return configuration.from_json(annotation, data[name], f"card.{name}") if name in data else default

    return RunCard(
        signal=read("signal", Signal | None, None),
        layout=tuple(_level(level, number) for number, level in enumerate(read_list(data, "layout"))),
        size=_size(data.get("size"), "card.size"),
        label_names=read("label_names", tuple[str, ...], ()),
        action_names=read("action_names", tuple[str, ...], ()),
        training=data.get("training"),
        metrics={
            name: configuration.from_json(float, value, f"card.metrics.{name}") for name, value in (data.get("metrics") or {}).items()
        },
        **{name: read(name, str, "") for name in ("recipe", "data", "held_out_data", "library")},
    )


def card_from_extra(extra: Mapping[str, Any]) -> RunCard:
    """The card of a part in version 1 of the format. Its signal has at most a rate; the rest follows from the tokenizer.

    Raises:
        ConfigError: a value is of the wrong type.
    """
    names = {
        name: configuration.from_json(tuple[str, ...], extra.get(name, []), f"extra.{name}") for name in ("label_names", "action_names")
    }
    size = _size(extra.get("size"), "extra.size")
    rate = configuration.from_json(int | None, extra.get("rate"), "extra.rate")
    data = configuration.from_json(str, extra.get("data", ""), "extra.data")
    training = extra.get("training")
    if not isinstance(training, dict | None):
        raise ConfigError(f"extra.training is {shown(training)}; it must be an object.")
    return RunCard(
        # Only sound had a rate.
        signal=sound(float(rate)) if rate is not None else None,
        size=size,
        recipe=configuration.from_json(str, extra.get("recipe", ""), "extra.recipe"),
        data=data,
        # Codes of held-out data had the same name.
        held_out_data=data,
        training=training,
        **names,
    )


def _size(data: Any, where: str) -> tuple[int, ...] | None:
    """A shape without channels.

    Raises:
        ConfigError: if it is not a list of positive integers.
    """
    size = configuration.from_json(tuple[int, ...] | None, data, where)
    if size is not None and min(size, default=1) < 1:
        raise ConfigError(f"{where} is {shown(data)}; every length must be at least 1.")
    return size


def upgraded(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under their names in version 2. Tensors of version 2 are unchanged."""
    renamed = {}
    for name, tensor in tensors.items():
        now = name if name in wanted else renamed_in_version_2(name)
        if name in wanted or now in wanted or not _DROPPED.search(name):
            renamed[now] = tensor
    return renamed


def renamed_in_version_2(name: str) -> str:
    """The name in version 2 of a tensor of version 1."""
    return _RENAMED.sub(r"\1criterion.", name)


def read_list(data: Mapping[str, Any], name: str) -> list[Any]:
    """A list in the JSON object of a card. Default: empty.

    Raises:
        ConfigError: it is not a list.
    """
    found = data.get(name, [])
    if not isinstance(found, list):
        raise ConfigError(f"card.{name} is {shown(found)}; it must be a list.")
    return found


def _level(data: Any, number: int) -> Level:
    where = f"card.layout[{number}]"
    needed = set(Level._fields) - {"lead"}
    if not isinstance(data, dict) or set(data) - {"lead"} != needed:
        raise ConfigError(f"{where} is {shown(data)}; it must be an object with {list(Level._fields)}, of which lead is optional.")
    books, size = (configuration.from_json(int, data[name], f"{where}.{name}") for name in ("num_codebooks", "codebook_size"))
    stride, lead = (configuration.from_json(tuple[int, ...], data.get(name, []), f"{where}.{name}") for name in ("stride", "lead"))
    return Level(books, size, stride, lead)


def _level_json(level: Level) -> dict[str, Any]:
    """A level as JSON. Without a lead it is the same as in earlier versions."""
    return {name: value for name, value in level._asdict().items() if name != "lead" or value}
