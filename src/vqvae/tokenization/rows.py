"""What a shard holds: rows of codes, and a record of how it came about."""

import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vqvae import config
from vqvae.data.records.base import BadRecord
from vqvae.data.shard_format import smallest_type
from vqvae.errors import ConfigError
from vqvae.tokenization.plan import Plan


class Row(NamedTuple):
    """The codes of one item."""

    number: int
    """The item's number in the source."""
    id: str
    codes: tuple[np.ndarray, ...]
    """Of each level (codebooks, *space), in the type of ``code_types``."""
    size: tuple[int, ...]
    """The length of each axis of its data."""
    label: int | str | None
    actions: tuple[int, ...] | None

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of the codes of each level."""
        return tuple(level.shape for level in self.codes)


class Outcome(NamedTuple):
    """How a shard came about. It lies in the shard."""

    items: int
    """Items with codes."""
    shapes: tuple[tuple[int, ...], ...] | None
    """The shape of the codes of each level, if all items have the same; empty without items."""
    bad: tuple[BadRecord, ...]
    """Items that could not be read, in order."""

    def to_text(self, plan: Plan, shard: int) -> str:
        """The outcome as JSON, with what it belongs to."""
        values = {"plan": plan.digest, "shard": shard, "items": self.items, "shapes": self.shapes, "bad": self.bad}
        return json.dumps(values)

    @classmethod
    def from_text(cls, text: str, plan: Plan, shard: int) -> "Outcome | None":
        """The outcome that a shard states. None if it belongs to another plan, or is damaged."""
        try:
            found = config.loads(text)
            if (found["plan"], found["shard"]) != (plan.digest, shard):
                return None
            shapes = None if found["shapes"] is None else tuple(map(tuple, found["shapes"]))
            return cls(int(found["items"]), shapes, tuple(BadRecord(str(name), str(error)) for name, error in found["bad"]))
        except (ConfigError, KeyError, TypeError, ValueError):
            return None


class Tally:
    """Counts what passes."""

    def __init__(self) -> None:
        self._items, self._bad = 0, list[BadRecord]()
        self._shapes: tuple[tuple[int, ...], ...] | None = ()

    def over(self, rows: Iterator[Row | BadRecord]) -> Iterator[Row]:
        """The good rows."""
        for row in rows:
            if isinstance(row, BadRecord):
                self._bad.append(row)
                continue
            self._shapes = row.shapes if not self._items or self._shapes == row.shapes else None
            self._items += 1
            yield row

    @property
    def outcome(self) -> Outcome:
        """What passed so far."""
        return Outcome(self._items, self._shapes, tuple(self._bad))


def joint_shapes(outcomes: list[Outcome]) -> tuple[tuple[int, ...], ...] | None:
    """The shape of the codes of each level, if all items of all shards have the same. Shards without items do not count."""
    found = {outcome.shapes for outcome in outcomes if outcome.items}
    return found.pop() if len(found) == 1 else None


def code_types(plan: Plan) -> list[np.dtype]:
    """The type of the codes of each level: the smallest unsigned one."""
    return [smallest_type(size) for _, size in plan.layout]
