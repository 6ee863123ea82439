"""Read the shards of ``vqvae tokenize`` in order: their items, and what the manifest says about them."""

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vqvae import config as configuration
from vqvae.disk import explained, read_text
from vqvae.errors import ConfigError, DataError
from vqvae.media.arrow import open_table, read_rows

MANIFEST = "manifest.json"
_ADVICE = "Tokenize the data again: the same command keeps the shards that are whole."


class TokenizedItem(NamedTuple):
    """One item of a tokenized data set."""

    id: str
    codes: tuple[np.ndarray, ...]
    """Of each level (codebooks, *space)."""
    label: int | str | None
    actions: np.ndarray | None


class _Shard(NamedTuple):
    file: str
    items: int
    sha256: str


class Tokenized:
    """A folder that ``vqvae tokenize`` finished. Reading keeps a few items in memory, however many there are."""

    def __init__(self, folder: Path) -> None:
        """Read the manifest, but no shard.

        Raises:
            DataError: if there is no manifest, it is damaged, or the shards are no Parquet files.
        """
        self.folder = folder
        path = folder / MANIFEST
        with explained(DataError, path, "cannot be read", "Write the shards: vqvae tokenize RUN DATA --out DIR"):
            text = read_text(path)
        try:
            found = configuration.loads(text, str(path))
            plan = found["plan"]
            self.tokenizer = str(plan["tokenizer"])
            """The fingerprint of the tokenizer, as ``vqvae info`` prints it."""
            self.axes = tuple(map(str, plan["axes"]))
            """The axes of the data."""
            self.layout = tuple((int(books), int(size)) for books, size in plan["layout"])
            """(num_codebooks, codebook_size) of each level, the coarsest first."""
            self.label_names, self.action_names = (tuple(map(str, plan[name])) for name in ("label_names", "action_names"))
            self._labels, self._has_actions, self._format = str(plan["labels"]), bool(plan["has_actions"]), str(plan["format"])
            self._shapes = None if found["shapes"] is None else [tuple(map(int, shape)) for shape in found["shapes"]]
            self._shards = [_Shard(str(one["file"]), int(one["items"]), str(one["sha256"])) for one in found["shards"]]
        except (ConfigError, LookupError, TypeError, ValueError) as error:
            raise DataError(f"{path} is damaged ({type(error).__name__}: {error}). {_ADVICE}") from error
        if self._format != "parquet":
            raise DataError(f"{folder} has shards of the format {self._format}; only Parquet is read back. Tokenize with --format parquet.")

    def __len__(self) -> int:
        return sum(shard.items for shard in self._shards)

    @property
    def digest(self) -> str:
        """Stands for the items."""
        return hashlib.sha256("".join(shard.sha256 for shard in self._shards).encode()).hexdigest()[:16]

    def largest(self) -> list[tuple[int, ...]]:
        """Of each level the largest shape (codebooks, *space) of any item.

        Raises:
            DataError: if a shard is missing, damaged or another one.
        """
        if self._shapes is not None:
            return self._shapes
        shapes = [np.zeros(1 + len(self.axes), np.int64) for _ in self.layout]
        for row in self._rows(0, len(self), [shape for _, shape in self._names()]):
            for largest, (_, shape) in zip(shapes, self._names(), strict=True):
                np.maximum(largest, row[shape], out=largest)
        return [tuple(shape.tolist()) for shape in shapes]

    def items(self, start: int = 0, stop: int | None = None) -> Iterator[TokenizedItem]:
        """The items from ``start`` up to ``stop``, in order. The sha256 of a shard is checked when its first item is read.

        Raises:
            DataError: if a shard is missing, damaged or another one.
        """
        names = self._names()
        columns = ["id", *itertools.chain.from_iterable(names), *["label"] * bool(self._labels), *["actions"] * self._has_actions]
        for row in self._rows(start, len(self) if stop is None else stop, columns):
            codes = tuple(np.asarray(row[codes]).reshape(row[shape]) for codes, shape in names)
            yield TokenizedItem(row["id"], codes, row.get("label"), row.get("actions"))

    def _names(self) -> list[tuple[str, str]]:
        """The columns of the codes and the shape of each level."""
        return [("codes", "shape") if level == 0 else (f"codes.{level}", f"shape.{level}") for level in range(len(self.layout))]

    def _rows(self, start: int, stop: int, columns: list[str]) -> Iterator[dict[str, Any]]:
        first = 0
        for shard in self._shards:
            low, high = max(start - first, 0), min(stop - first, shard.items)
            if low < high:
                path = self.folder / shard.file
                self._check(path, shard)
                yield from read_rows(path, low, high, columns)
            first += shard.items

    def _check(self, path: Path, shard: _Shard) -> None:
        with explained(DataError, path, "cannot be read", _ADVICE), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != shard.sha256 or open_table(path).rows != shard.items:
            raise DataError(f"{path} is not the shard that the manifest names: its sha256 differs. {_ADVICE}")
