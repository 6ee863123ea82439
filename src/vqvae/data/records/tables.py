"""The rows of Parquet and Arrow files as records."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqvae.data.records.base import BadRecord, Encoded, Facts, Record, Records, digest_of
from vqvae.errors import ConfigError, DataError
from vqvae.media.arrow import Column, Table, open_table, read_rows

_ACTIONS = "actions"
_LABEL = "label"
_KINDS = {"bytes": "bytes", "numbers": "lists of numbers"}


class TableRecords(Records):
    """Each row is an item. Its id is the file and the number of the row in it, ``part-0.parquet#17``.

    One column has the data: the bytes of files, or lists of numbers. Hugging Face's ``Image`` and ``Audio`` columns have bytes. The column
    ``label`` has classes, by number or name; the column ``actions`` has lists of numbers.
    """

    def __init__(self, root: Path, files: Sequence[str], *, column: str | None = None, label_column: str | None = None) -> None:
        """Look at the columns, but read no rows.

        Args:
            root: the folder of the files.
            files: Parquet or Arrow files in it, in order.
            column: the column with the data. Default: the only one that can have it.
            label_column: the column with the labels. Default: ``label``, if there is one.

        Raises:
            ConfigError: if a column is missing or of the wrong type, or several could have the data.
            DataError: if a file cannot be read.
        """
        tables = open_tables(root, files)
        columns = tables[0].columns
        self._data = data_column(tables[0], column, label_column)
        self._label = label_column_of(tables[0], self._data, label_column)
        self._has_actions = columns.get(_ACTIONS, Column("")).kind == "numbers" and self._data != _ACTIONS
        kind = "" if self._label is None else columns[self._label].kind
        names = columns[self._label].names if self._label is not None else ()
        self._root, self._files = root, tuple(files)
        self._ends = tuple(itertools.accumulate((table.rows for table in tables), initial=0))
        sizes = [[file, (root / file).stat().st_size, table.rows] for file, table in zip(files, tables, strict=True)]
        digest = digest_of([sizes, self._data, self._label])
        self.facts = Facts("rows of tables", digest, self._ends[-1], kind, names, has_actions=self._has_actions)

    def read(self, start: int, stop: int) -> Iterator[Record | BadRecord]:
        columns = [self._data, *filter(None, [self._label]), *([_ACTIONS] if self._has_actions else [])]
        for number, file in enumerate(self._files):
            first = self._ends[number]
            low, high = max(start - first, 0), min(stop, self._ends[number + 1]) - first
            done = low
            try:
                for row in read_rows(self._root / file, low, high, columns) if low < high else ():
                    yield self._record(f"{file}#{done}", row)
                    done += 1
            except DataError as error:
                # A damaged page hides the rows after it.
                yield from (BadRecord(f"{file}#{row}", str(error)) for row in range(done, high))

    def _record(self, name: str, row: dict[str, Any]) -> Record | BadRecord:
        value, label, actions = row[self._data], None if self._label is None else row[self._label], row.get(_ACTIONS)
        if isinstance(value, dict):
            value = None if value.get("bytes") is None else Encoded(value["bytes"], value.get("path") or "")
        elif isinstance(value, bytes):
            value = Encoded(value, "")
        if value is None:
            return BadRecord(name, f"The column {self._data!r} is empty here, or its lists have different lengths.")
        if self._has_actions and actions is None:
            return BadRecord(name, f"The column {_ACTIONS!r} is empty here.")
        taken = tuple(int(action) for action in np.asarray(actions)) if self._has_actions else None
        return Record(name, value, label, taken)


def open_tables(root: Path, files: Sequence[str]) -> list[Table]:
    """The descriptions of files with the same columns.

    Raises:
        DataError: if a file cannot be read, or has other columns.
    """
    tables = [open_table(root / file) for file in files]
    columns = tables[0].columns
    for table in tables[1:]:
        if table.columns != columns:
            raise DataError(f"{table.path} has other columns than {tables[0].path}: {_words(table.columns)}, not {_words(columns)}.")
    return tables


def data_column(
    table: Table, column: str | None, label: str | None, *, kinds: Sequence[str] = ("bytes", "numbers"), flag: str = "--column"
) -> str:
    """The column with the data: the named one, or the only one that can have it.

    Args:
        table: the description of the table.
        column: its name, if the user gave one.
        label: the column with the labels.
        kinds: the kinds of columns that can have the data.
        flag: the flag that names the column, for messages.

    Raises:
        ConfigError: if there is no such column, or several could be it.
    """
    fitting = [name for name, one in table.columns.items() if one.kind in kinds and name not in (label, _LABEL, _ACTIONS)]
    words = " or ".join(_KINDS[kind] for kind in kinds)
    if column is None and len(fitting) == 1:
        return fitting[0]
    if column is None:
        found = "several columns that could be the data" if fitting else f"no column with {words}"
        raise ConfigError(f"{table.path} has {found}: {_words(table.columns)}. Name one with {flag}.")
    if column not in table.columns or table.columns[column].kind not in kinds:
        raise ConfigError(f"{table.path} has no column {column!r} with {words}; it has {_words(table.columns)}.")
    return column


def label_column_of(table: Table, data: str, label: str | None) -> str | None:
    """The column with the labels: the named one, or ``label`` if there is one. ``data`` is the column with the data.

    Raises:
        ConfigError: if it has neither whole numbers nor text.
    """
    label = label or (_LABEL if _LABEL in table.columns and data != _LABEL else None)
    if label is not None and (label not in table.columns or table.columns[label].kind not in ("int", "text")):
        raise ConfigError(f"{table.path} has no column {label!r} with whole numbers or text; it has {_words(table.columns)}.")
    return label


def _words(columns: dict[str, Column]) -> str:
    return ", ".join(f"{name} ({column.kind})" for name, column in columns.items())
