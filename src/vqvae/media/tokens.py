"""Files of tokens: the codes of files with their names and shapes, as ``vqvae encode`` writes and ``vqvae decode`` reads them.

Every format holds the same columns, one entry a file:

- ``name``: the file that was encoded, relative to the folder it was found in.
- ``size``: the length of each axis of its data.
- ``shape`` and ``tokens``: the shape (codebooks, *space) of the codes of the first level, and the codes themselves in C order.
- ``shape.1``, ``tokens.1`` and so on: the same for further levels.

JSON Lines has an object a line, Parquet a row. An NPZ file has ``name`` (files,), ``size`` (files, axes), ``shape`` (files, 1 + axes), and
one array ``tokens`` in which the files follow each other. A table also holds ``layout``, the (num_codebooks, codebook_size) of each level,
and ``offset``.

Without an offset, tokens are codes, and every codebook counts from 0. With an offset, every codebook has a range of its own, as a
vocabulary needs it: the first codebook starts at the offset, and each further one where the range before it ends.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vqvae import config
from vqvae.disk import atomic
from vqvae.errors import ConfigError, DataError
from vqvae.media.arrays import open_arrays
from vqvae.media.arrow import parquet_modules

SUFFIXES = (".npz", ".jsonl", ".parquet")
_LARGEST = 2**63 - 1
_AT_ONCE = 1024
"""Files in a row group of Parquet: what writing keeps in memory."""


@dataclass(frozen=True, kw_only=True)
class TokenLayout:
    """What tokens of a model are."""

    levels: tuple[tuple[int, int], ...]
    """(num_codebooks, codebook_size) of each level, the coarsest first."""
    offset: int | None = None
    """The first token of the first codebook in another vocabulary; None: tokens are codes."""

    def __post_init__(self) -> None:
        if self.offset is not None and not 0 <= self.offset <= _LARGEST - self.count:
            raise ConfigError(f"The offset is {self.offset}; a number from 0 to {_LARGEST - self.count} is expected.")

    @property
    def count(self) -> int:
        """Tokens of all codebooks together."""
        return sum(books * size for books, size in self.levels)

    def to_tokens(self, codes: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The codes of each level (codebooks, *space) as tokens of the same shape, in the smallest unsigned type."""
        kind = _smallest(max(size for _, size in self.levels) if self.offset is None else self.offset + self.count)
        return [(code + first).astype(kind) for code, first in zip(codes, self._firsts(codes), strict=True)]

    def to_codes(self, tokens: Sequence[np.ndarray], where: str) -> list[np.ndarray]:
        """Tokens as codes, int64.

        Raises:
            DataError: if a token belongs to no code of its codebook, or there are more or fewer codebooks. It names ``where``.
        """
        books = [len(level) if level.ndim else 0 for level in tokens]
        if books != [count for count, _ in self.levels]:
            raise DataError(f"{where} has {books} codebooks a level; the model has {[count for count, _ in self.levels]}.")
        codes = [level.astype(np.int64) - first for level, first in zip(tokens, self._firsts(tokens), strict=True)]
        for level, (_, size) in zip(codes, self.levels, strict=True):
            if level.size and not 0 <= level.min() <= level.max() < size:
                raise DataError(
                    f"{where} holds codes from {level.min()} to {level.max()}; the model has 0 to {size - 1}. "
                    "Decode it with the model that encoded it."
                )
        return codes

    def _firsts(self, levels: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The first token of each codebook, one array a level that broadcasts to its codes."""
        firsts, start = [], self.offset or 0
        for level, (books, size) in zip(levels, self.levels, strict=True):
            range_of_book = np.arange(books) * size + start if self.offset is not None else np.zeros(books, np.int64)
            firsts.append(range_of_book.reshape(books, *(1,) * (level.ndim - 1)))
            start += books * size
        return firsts


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of one file."""

    name: str
    """The file, relative to the folder it was found in."""
    size: tuple[int, ...]
    """The length of each axis of its data."""
    levels: tuple[np.ndarray, ...]
    """Of each level the tokens (codebooks, *space)."""


def check_suffix(path: Path) -> None:
    """Raise ConfigError unless tokens can be written to a file of this name: before the work, not after it."""
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{path} ends in '{path.suffix}'; tokens are written as {', '.join(SUFFIXES)}.")
    if path.suffix.lower() == ".parquet":
        parquet_modules()


def write_tokens(path: Path, rows: Iterable[Tokens], layout: TokenLayout) -> int:
    """Write the tokens of files, whole or not at all; give the number of files.

    Raises:
        ConfigError: if the suffix is none of ``SUFFIXES``.
        DataError: if the file cannot be written.
        MissingExtraError: for Parquet, if pyarrow is not installed.
    """
    check_suffix(path)
    count = 0

    def counted() -> Iterator[Tokens]:
        nonlocal count
        for row in rows:
            count += 1
            yield row

    with atomic(path, DataError, "Choose another --out.") as partial:
        _WRITERS[path.suffix.lower()](partial, counted(), layout)
    return count


def read_tokens(path: Path) -> tuple[TokenLayout, list[Tokens]]:
    """Read what ``write_tokens`` wrote.

    Raises:
        ConfigError: if the suffix is none of ``SUFFIXES``.
        DataError: if the file cannot be read, is damaged, or holds something else.
        MissingExtraError: for Parquet, if pyarrow is not installed.
    """
    check_suffix(path)  # Also that Parquet can be read.
    if not path.is_file():
        raise DataError(f"There is no file {path}. Write one: vqvae encode RUN FILE... --out {path}")
    try:
        return _READERS[path.suffix.lower()](path)
    except (DataError, ConfigError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # Each library raises kinds of its own; all of them mean a damaged file.
        raise DataError(f"{path} is damaged, or 'vqvae encode' did not write it ({type(error).__name__}: {error}).") from error


def _write_npz(path: Path, rows: Iterable[Tokens], layout: TokenLayout) -> None:
    kept = list(rows)
    columns: dict[str, Any] = {
        "name": np.array([row.name for row in kept], dtype=str),
        "size": np.array([row.size for row in kept], np.int64),
        "layout": np.array(layout.levels, np.int64),
        "offset": np.array(-1 if layout.offset is None else layout.offset, np.int64),
    }
    for number, (shape, tokens) in enumerate(_keys(layout)):
        columns[shape] = np.array([row.levels[number].shape for row in kept], np.int64)
        columns[tokens] = np.concatenate([row.levels[number].ravel() for row in kept])
    with path.open("wb") as file:
        np.savez_compressed(file, **columns)


def _read_npz(path: Path) -> tuple[TokenLayout, list[Tokens]]:
    file = {name: stored.read() for name, stored in open_arrays(path).items()}
    offset = int(file["offset"])
    layout = _layout(file["layout"].tolist(), None if offset < 0 else offset)
    names, sizes = file["name"], file["size"]
    levels = []
    for shape, tokens in _keys(layout):
        shapes, flat = file[shape], file[tokens]
        lengths = [math.prod(one) for one in shapes.tolist()]
        if len(shapes) != len(names) or min(lengths, default=0) < 0 or sum(lengths) != len(flat):
            raise DataError(f"{len(names)} files with {sum(lengths)} tokens are named, but there are {len(flat)}.")
        ends = np.cumsum(lengths)
        levels.append([flat[end - n : end].reshape(one) for n, end, one in zip(lengths, ends, shapes.tolist(), strict=True)])
    return layout, [_row(name, size, each) for name, size, *each in zip(names.tolist(), sizes.tolist(), *levels, strict=True)]


def _write_jsonl(path: Path, rows: Iterable[Tokens], layout: TokenLayout) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps({**_columns(row, layout), "layout": layout.levels, "offset": layout.offset}) + "\n")


def _read_jsonl(path: Path) -> tuple[TokenLayout, list[Tokens]]:
    layout, rows = None, []
    with path.open(encoding="utf-8") as file:
        for line in file:
            values = config.loads(line)
            found = _layout(values["layout"], values["offset"])
            if layout not in (None, found):
                raise DataError(f"line {len(rows) + 1} was written by another model than the lines before.")
            layout = found
            rows.append(_from_columns(values, layout))
    if layout is None:
        raise DataError("it is empty.")
    return layout, rows


def _write_parquet(path: Path, rows: Iterable[Tokens], layout: TokenLayout) -> None:
    arrow, parquet = parquet_modules()
    kind = arrow.from_numpy_dtype(layout.to_tokens([np.zeros((books, 1), np.int64) for books, _ in layout.levels])[0].dtype)
    fields = [("name", arrow.string()), ("size", arrow.list_(arrow.int64()))]
    for shape, tokens in _keys(layout):
        fields += [(shape, arrow.list_(arrow.int64())), (tokens, arrow.list_(kind))]
    about = json.dumps({"layout": layout.levels, "offset": layout.offset})
    schema = arrow.schema(fields, metadata={"vqvae": about})
    with parquet.ParquetWriter(path, schema) as writer:
        waiting: list[dict[str, Any]] = []
        for row in rows:
            waiting.append(_columns(row, layout))
            if len(waiting) == _AT_ONCE:
                writer.write_table(arrow.Table.from_pylist(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(arrow.Table.from_pylist(waiting, schema))


def _read_parquet(path: Path) -> tuple[TokenLayout, list[Tokens]]:
    table = parquet_modules()[1].read_table(path)
    about = config.loads((table.schema.metadata or {})[b"vqvae"].decode())
    layout = _layout(about["layout"], about["offset"])
    return layout, [_from_columns(row, layout) for row in table.to_pylist()]


def _keys(layout: TokenLayout) -> list[tuple[str, str]]:
    """The columns of shape and tokens of each level."""
    return [("shape", "tokens") if number == 0 else (f"shape.{number}", f"tokens.{number}") for number in range(len(layout.levels))]


def _columns(row: Tokens, layout: TokenLayout) -> dict[str, Any]:
    columns: dict[str, Any] = {"name": row.name, "size": list(row.size)}
    for (shape, tokens), level in zip(_keys(layout), row.levels, strict=True):
        columns |= {shape: list(level.shape), tokens: level.ravel().tolist()}
    return columns


def _from_columns(values: dict[str, Any], layout: TokenLayout) -> Tokens:
    levels = [np.array(values[tokens], np.int64).reshape(values[shape]) for shape, tokens in _keys(layout)]
    return _row(values["name"], values["size"], levels)


def _row(name: Any, size: Any, levels: Sequence[np.ndarray]) -> Tokens:
    return Tokens(name=str(name), size=tuple(int(length) for length in size), levels=tuple(levels))


def _layout(levels: Any, offset: Any) -> TokenLayout:
    found = tuple((int(books), int(size)) for books, size in levels)
    if not found or min(min(level) for level in found) < 1:
        raise DataError(f"its layout is {levels}; the numbers of codebooks and codes of each level are expected.")
    return TokenLayout(levels=found, offset=None if offset is None else int(offset))


def _smallest(count: int) -> type[np.unsignedinteger]:
    """The smallest unsigned type for numbers below ``count``."""
    return next(kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64) if count - 1 <= np.iinfo(kind).max)


_WRITERS: dict[str, Callable[[Path, Iterable[Tokens], TokenLayout], None]] = {
    ".npz": _write_npz,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
_READERS: dict[str, Callable[[Path], tuple[TokenLayout, list[Tokens]]]] = {
    ".npz": _read_npz,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
