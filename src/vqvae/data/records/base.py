"""Records: the items of a source, in a fixed order, each with a stable name."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor


class Encoded(NamedTuple):
    """The content of a file that lies inside another one."""

    content: bytes
    name: str
    """Its name, which may end in a suffix."""


class Record(NamedTuple):
    """One item of a source."""

    id: str
    """Its name: the same whenever the source is read."""
    data: Path | Encoded | np.ndarray | Tensor
    """A file, the content of one, an array, or one example (channels, *axes) of a data set."""
    label: int | str | None = None
    """Its class, by number or name. None if it has none."""
    actions: tuple[int, ...] | None = None
    """The actions between its frames."""


class BadRecord(NamedTuple):
    """An item that cannot be read."""

    id: str
    error: str


class Facts(NamedTuple):
    """What is known of a source before it is read."""

    kind: str
    """What the source is, in words."""
    digest: str
    """Changes if the items change."""
    items: int
    """The number of items."""
    labels: str = ""
    """The type of the labels: "int", "text", or "" for none."""
    label_names: tuple[str, ...] = ()
    """The names of the labels, by number."""
    action_names: tuple[str, ...] = ()
    """The names of the actions, by number."""
    has_actions: bool = False
    """Whether items have actions."""


class Records(ABC):
    """A source. It can be pickled, and reads nothing until it is asked."""

    facts: Facts

    @abstractmethod
    def read(self, start: int, stop: int) -> Iterator[Record | BadRecord]:
        """The items from ``start`` up to ``stop``, in order. Exactly one for each number, bad ones included."""


def digest_of(facts: Any) -> str:
    """A short digest of facts that are valid JSON."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


class Names:
    """Many names in little memory: one text, and where each name ends."""

    def __init__(self, names: list[str]) -> None:
        encoded = [name.encode("utf-8", "surrogateescape") for name in names]
        self._text = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> str:
        return self._text[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogateescape")
