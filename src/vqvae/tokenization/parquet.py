"""Shards as Parquet files. A row per item; the codes of an item are one list in C order.

Columns: ``id``, ``codes``, ``shape`` (codebooks, *space), ``size`` (the lengths of the data's axes), and where there are any ``label``,
``length`` (along time) and ``actions``. Further levels of codes are ``codes.1``, ``shape.1`` and so on. If all items have codes of one
shape, the lists have a fixed size.
"""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from vqvae.data.records.base import BadRecord
from vqvae.media.arrow import parquet_modules
from vqvae.tokenization.plan import Plan
from vqvae.tokenization.rows import Outcome, Row, Tally, code_types

_KEY = "vqvae"
_ROWS, _BYTES = 1024, 2**23
"""A row group ends at this many rows or bytes of codes: what writing keeps in memory."""
Shapes = tuple[tuple[int, ...], ...]


def write_parquet(path: Path, rows: Iterator[Row | BadRecord], plan: Plan, shard: int) -> Outcome:
    """Write a shard."""
    tally, writer = Tally(), _Writer(path, plan)
    waiting: list[Row] = []
    taken = 0
    for row in tally.over(rows):
        waiting.append(row)
        taken += sum(level.nbytes for level in row.codes)
        if len(waiting) == _ROWS or taken >= _BYTES:
            writer.add(waiting)
            waiting, taken = [], 0
    writer.add(waiting)
    writer.finish({_KEY: tally.outcome.to_text(plan, shard)})
    return tally.outcome


def read_parquet_outcome(path: Path, plan: Plan, shard: int) -> Outcome | None:
    """The outcome that a shard states. None if the file is missing, damaged, or of another plan."""
    arrow, parquet = parquet_modules()
    try:
        found = parquet.read_metadata(path).metadata[_KEY.encode()]
    except (OSError, KeyError, TypeError, arrow.ArrowException):
        return None
    return Outcome.from_text(found.decode(errors="replace"), plan, shard)


def has_sizes(path: Path, shapes: Shapes | None) -> bool:
    """Whether the lists of codes have the sizes of these shapes, or no fixed size if None."""
    arrow, parquet = parquet_modules()
    kind = parquet.read_schema(path).field("codes").type
    fixed = kind.list_size if arrow.types.is_fixed_size_list(kind) else None
    return fixed == (None if shapes is None else math.prod(shapes[0]))


def give_sizes(path: Path, new: Path, plan: Plan, shapes: Shapes | None) -> None:
    """Write a shard again, with lists of codes of the sizes of these shapes, or of no fixed size if None."""
    arrow, parquet = parquet_modules()
    schema = _schema(arrow, plan, shapes)
    with parquet.ParquetFile(path) as file, parquet.ParquetWriter(new, schema, compression="zstd") as writer:
        _copy(file, writer, schema)
        about = file.metadata.metadata[_KEY.encode()]
        writer.add_key_value_metadata({_KEY: about.decode()})


class _Writer:
    """Writes row groups. Lists have a fixed size until a row of another shape comes; then the file is begun again."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path, self._plan = path, plan
        self._arrow, self._parquet = parquet_modules()
        self._writer: Any = None
        self._shapes: Shapes | None = None

    def add(self, rows: Sequence[Row]) -> None:
        """Add a row group."""
        if not rows:
            return
        found = {row.shapes for row in rows}
        shapes = rows[0].shapes if len(found) == 1 else None
        if self._writer is None:
            self._shapes, self._writer = shapes, self._open(self._path, shapes)
        elif self._shapes is not None and self._shapes != shapes:
            self._relax()
        self._writer.write_table(_table(self._arrow, rows, self._plan, self._shapes))

    def finish(self, about: dict[str, str]) -> None:
        """Close the file."""
        if self._writer is None:
            self._writer = self._open(self._path, None)
        self._writer.add_key_value_metadata(about)
        self._writer.close()

    def _open(self, path: Path, shapes: Shapes | None) -> Any:
        return self._parquet.ParquetWriter(path, _schema(self._arrow, self._plan, shapes), compression="zstd")

    def _relax(self) -> None:
        """Begin the file again with lists of any size."""
        self._writer.close()
        before = self._path.with_name("before")
        os.replace(self._path, before)
        self._shapes, self._writer = None, self._open(self._path, None)
        with self._parquet.ParquetFile(before) as file:
            _copy(file, self._writer, _schema(self._arrow, self._plan, None))
        before.unlink()


def _copy(file: Any, writer: Any, schema: Any) -> None:
    for group in range(file.num_row_groups):
        writer.write_table(file.read_row_group(group, use_threads=False).cast(schema))


def _names(plan: Plan) -> list[tuple[str, str]]:
    """The columns of the codes and the shape of each level."""
    return [("codes", "shape") if level == 0 else (f"codes.{level}", f"shape.{level}") for level in range(len(plan.layout))]


def _schema(arrow: ModuleType, plan: Plan, shapes: Shapes | None) -> Any:
    fields = [arrow.field("id", arrow.string(), nullable=False)]
    for level, ((codes, shape), kind) in enumerate(zip(_names(plan), code_types(plan), strict=True)):
        size = -1 if shapes is None else math.prod(shapes[level])
        fields.append(arrow.field(codes, arrow.list_(arrow.from_numpy_dtype(kind), size)))
        fields.append(arrow.field(shape, arrow.list_(arrow.int32(), 1 + len(plan.axes))))
    fields.append(arrow.field("size", arrow.list_(arrow.int32(), len(plan.axes))))
    if plan.labels:
        fields.append(arrow.field("label", arrow.int64() if plan.labels == "int" else arrow.string()))
    if "time" in plan.axes:
        fields.append(arrow.field("length", arrow.int32()))
    if plan.has_actions:
        fields.append(arrow.field("actions", arrow.list_(arrow.int32())))
    return arrow.schema(fields)


def _table(arrow: ModuleType, rows: Sequence[Row], plan: Plan, shapes: Shapes | None) -> Any:
    schema = _schema(arrow, plan, shapes)
    columns: dict[str, Any] = {"id": [row.id for row in rows]}
    for level, (codes, shape) in enumerate(_names(plan)):
        flat = arrow.array(np.concatenate([row.codes[level].ravel() for row in rows]))
        if shapes is None:
            ends = np.cumsum([0, *(row.codes[level].size for row in rows)], dtype=np.int32)
            columns[codes] = arrow.ListArray.from_arrays(arrow.array(ends), flat)
        else:
            columns[codes] = arrow.FixedSizeListArray.from_arrays(flat, type=schema.field(codes).type)
        columns[shape] = [row.codes[level].shape for row in rows]
    columns["size"] = [row.size for row in rows]
    if plan.labels:
        columns["label"] = [row.label for row in rows]
    if "time" in plan.axes:
        columns["length"] = [row.size[plan.axes.index("time")] for row in rows]
    if plan.has_actions:
        columns["actions"] = [row.actions for row in rows]
    return arrow.table(
        [arrow.array(columns[one.name], one.type) if isinstance(columns[one.name], list) else columns[one.name] for one in schema],
        schema=schema,
    )
