"""Tables of Parquet and Arrow files, read row by row. The only importer of pyarrow, which is optional."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from vqvae.errors import DataError, MissingExtraError

_ROWS = 64
"""Rows that are decoded at once: what reading keeps in memory."""


class Column(NamedTuple):
    """A column of a table."""

    kind: str
    """"bytes", "numbers" (lists of them), "int", "text" or "other"."""
    names: tuple[str, ...] = ()
    """The names of the classes, if the table was written by Hugging Face ``datasets`` and the column holds classes."""


class Values(NamedTuple):
    """Some rows of a column with bytes."""

    data: memoryview
    """The bytes of all its values."""
    starts: Int64[np.ndarray, " bounds"]
    """Where each value begins in ``data``, and where the last one ends."""
    missing: Bool[np.ndarray, " rows"]
    """Which rows have no value."""
    labels: list[Any]
    """The value of another column in each row; None without one."""
    place: int | None
    """Where ``data`` lies in the file, in bytes. None if the file holds it compressed."""


class Table(NamedTuple):
    """A file with a table."""

    path: Path
    rows: int
    columns: dict[str, Column]


def parquet_modules() -> tuple[ModuleType, ModuleType]:
    """The modules ``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        MissingExtraError: if pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    return pyarrow, pyarrow.parquet


def zstd_size(data: bytes) -> int | None:
    """Bytes of data under zstd at its highest level. None if pyarrow is not installed: Python itself has no zstd before 3.14."""
    try:
        pyarrow, _ = parquet_modules()
    except MissingExtraError:
        return None
    return pyarrow.Codec("zstd", compression_level=22).compress(data).size


def open_table(path: Path) -> Table:
    """Read the description of a Parquet file (.parquet) or an Arrow file (.arrow), but no rows.

    Raises:
        DataError: if the file cannot be read, or is neither.
        MissingExtraError: if pyarrow is not installed.
    """
    arrow, parquet = parquet_modules()
    with _explained(path):
        if path.suffix.lower() == ".parquet":
            with parquet.ParquetFile(path) as file:
                return Table(path, file.metadata.num_rows, _columns(arrow, file.schema_arrow))
        with _arrow_batches(arrow, path) as (schema, batches, _):
            return Table(path, sum(batch.num_rows for batch in batches), _columns(arrow, schema))


def read_rows(path: Path, start: int, stop: int, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows from ``start`` up to ``stop``, with these columns. Lists of numbers are arrays; bytes with a path are {"bytes", "path"}.

    Raises:
        DataError: if a row cannot be read. Rows after it cannot be read either.
    """
    arrow, parquet = parquet_modules()
    with _explained(path):
        for batch in _slices(arrow, parquet, path, start, stop, columns):
            taken = [_values(arrow, batch.column(name)) for name in columns]
            for row in zip(*taken, strict=True):
                yield dict(zip(columns, row, strict=True))


def read_values(path: Path, column: str, label: str | None = None) -> Iterator[Values]:
    """All values of a column with bytes, a few rows at a time, and where they lie in the file. Read each part before the next one.

    Args:
        column: the column. Of a structure such as {"bytes", "path"}, the field "bytes" is read.
        label: another column to read along.

    Raises:
        DataError: if the file cannot be read.
    """
    arrow, parquet = parquet_modules()
    columns = [column, *filter(None, [label])]
    with _explained(path):
        if path.suffix.lower() == ".parquet":
            with parquet.ParquetFile(path) as file:
                for batch in file.iter_batches(_ROWS, columns=columns, use_threads=False):
                    yield _values_of(arrow, batch, column, label, None)
            return
        with _arrow_batches(arrow, path) as (_, batches, whole):
            for batch in batches:
                for row in range(0, batch.num_rows, _ROWS):
                    yield _values_of(arrow, batch.select(columns).slice(row, _ROWS), column, label, whole)


def _values_of(arrow: ModuleType, batch: Any, column: str, label: str | None, whole: Any) -> Values:
    """The values in a record batch. ``whole`` is the mapped file, if there is one."""
    array = batch.column(column)
    array = getattr(array, "storage", array)
    if arrow.types.is_struct(array.type):
        # Not field(): flatten() also leaves out the values of rows whose structure is missing.
        array = array.flatten()[[field.name for field in array.type].index("bytes")]
    kind = np.int64 if arrow.types.is_large_binary(array.type) else np.int32
    _, starts, data = array.buffers()
    bounds = np.zeros(1, np.int64) if starts is None else np.frombuffer(starts, kind)[array.offset : array.offset + len(array) + 1]
    place = None
    if whole is not None and data is not None and 0 <= data.address - whole.address <= whole.size - data.size:
        place = data.address - whole.address
    missing = np.asarray(array.is_null().to_numpy(zero_copy_only=False), bool)
    labels = [None] * len(array) if label is None else batch.column(label).to_pylist()
    return Values(memoryview(data or b""), bounds.astype(np.int64), missing, labels, place)


def _slices(arrow: ModuleType, parquet: ModuleType, path: Path, start: int, stop: int, columns: Sequence[str]) -> Iterator[Any]:
    """The rows as record batches with few rows."""
    first = 0
    if path.suffix.lower() == ".parquet":
        with parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if first < stop and first + rows > start:
                    batches = file.iter_batches(_ROWS, row_groups=[group], columns=list(columns), use_threads=False)
                    yield from _between(batches, start - first, stop - first)
                first += rows
        return
    with _arrow_batches(arrow, path) as (_, batches, _):
        for batch in batches:
            if first < stop and first + batch.num_rows > start:
                chosen = batch.select(list(columns))
                parts = (chosen.slice(row, _ROWS) for row in range(0, chosen.num_rows, _ROWS))
                yield from _between(parts, start - first, stop - first)
            first += batch.num_rows
            if first >= stop:
                break


def _between(batches: Any, start: int, stop: int) -> Iterator[Any]:
    """The rows from ``start`` up to ``stop`` of consecutive batches."""
    first = 0
    for batch in batches:
        low, high = max(start - first, 0), min(stop - first, batch.num_rows)
        if low < high:
            yield batch.slice(low, high - low)
        first += batch.num_rows
        if first >= stop:
            break


@contextmanager
def _arrow_batches(arrow: ModuleType, path: Path) -> Iterator[tuple[Any, Iterator[Any], Any]]:
    """The schema and the batches of an Arrow file, as a stream (``datasets`` writes these) or with random access, and the whole file as a
    buffer. Memory-mapped: a batch takes memory only when its values are read."""
    with arrow.memory_map(str(path)) as file:
        whole = file.read_buffer(file.size())
        file.seek(0)
        try:
            stream = arrow.ipc.open_stream(file)
            yield stream.schema, iter(stream), whole
        except arrow.ArrowInvalid:
            file.seek(0)
            opened = arrow.ipc.open_file(file)
            yield opened.schema, (opened.get_batch(number) for number in range(opened.num_record_batches)), whole


def _columns(arrow: ModuleType, schema: Any) -> dict[str, Column]:
    features = _features(schema.metadata or {})
    return {field.name: Column(_kind(arrow, field.type), _names(features.get(field.name))) for field in schema}


def _features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """What ``datasets`` says about the columns; empty if it says nothing."""
    try:
        found = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _names(feature: Any) -> tuple[str, ...]:
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _kind(arrow: ModuleType, kind: Any) -> str:
    types, kind = arrow.types, getattr(kind, "storage_type", kind)
    if types.is_binary(kind) or types.is_large_binary(kind):
        return "bytes"
    if types.is_struct(kind):
        return "bytes" if any(field.name == "bytes" for field in kind) else "other"
    if _is_list(types, kind):
        while _is_list(types, kind):
            kind = kind.value_type
        return "numbers" if types.is_integer(kind) or types.is_floating(kind) else "other"
    if types.is_integer(kind):
        return "int"
    return "text" if types.is_string(kind) or types.is_large_string(kind) else "other"


def _is_list(types: Any, kind: Any) -> bool:
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _values(arrow: ModuleType, column: Any) -> list[Any]:
    """The values of a column, one per row."""
    column = getattr(column, "storage", column)
    if _is_list(arrow.types, column.type):
        return [None if row.values is None else _array(arrow, row.values) for row in column]
    return column.to_pylist()


def _array(arrow: ModuleType, values: Any) -> np.ndarray | None:
    """Nested lists of one row as an array. None if it has holes or lists of different lengths."""
    shape = [len(values)]
    while _is_list(arrow.types, values.type):
        flat = values.flatten()
        length = len(flat) // max(len(values), 1)
        lengths = {length} if arrow.types.is_fixed_size_list(values.type) else set(values.value_lengths().to_pylist())
        if values.null_count or lengths - {length}:
            return None
        shape.append(length)
        values = flat
    return None if values.null_count else values.to_numpy(zero_copy_only=False).reshape(shape)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn whatever pyarrow raises into a DataError."""
    try:
        yield
    except (DataError, GeneratorExit):
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check that it exists and is whole.") from error
    except Exception as error:
        raise DataError(f"{path} is damaged, or it is no table ({type(error).__name__}: {error}). Write it again.") from error
