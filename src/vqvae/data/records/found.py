"""What a place holds: files, tars, tables, a saved data set, or an array. Decided by looking, and said in errors."""

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vqvae import config
from vqvae.data.files import find_files, of_kind
from vqvae.data.records.base import Records
from vqvae.data.records.datasets import ArrayRecords
from vqvae.data.records.files import FileRecords
from vqvae.data.records.tables import TableRecords
from vqvae.data.records.tars import TarRecords
from vqvae.disk import explained, read_text
from vqvae.errors import ConfigError, DataError
from vqvae.media.arrays import READABLE

_PARQUET, _TAR, _ARROW = (".parquet",), (".tar",), (".arrow",)
SHARDS = (*_TAR, *_PARQUET, *_ARROW)
"""Suffixes of files that hold many items each."""
_STATE, _DICT = "state.json", "dataset_dict.json"
"""Files that ``save_to_disk`` of ``datasets`` writes."""


def find_records(
    place: Path, suffixes: Sequence[str], *, known: Sequence[str] = (), column: str | None = None, label_column: str | None = None
) -> Records:
    """The records in a file or a folder.

    Args:
        place: a folder of files, of tars or of Parquet files; a folder that ``save_to_disk`` of ``datasets`` wrote; or one file.
        suffixes: the suffixes of the files that have data.
        known: the names of the labels of the model.
        column: the column of a table that has the data.
        label_column: the column of a table that has the labels.

    Raises:
        ConfigError: if a column is missing, or columns are named but there is no table.
        DataError: if nothing is there, several kinds are there, or it cannot be read.
    """
    records = _found(place, tuple(suffixes), known, column, label_column)
    if (column or label_column) and not isinstance(records, TableRecords):
        raise ConfigError(f"{place} holds {records.facts.kind}, which have no columns. Omit --column and --label-column.")
    if not records.facts.items:
        raise DataError(f"{place} holds no items. Give another place.")
    return records


class Shards(NamedTuple):
    """Files that hold many items each."""

    root: Path
    """Their folder."""
    files: tuple[str, ...]
    """Their paths in it, in order."""
    are_tars: bool
    """Whether they are tars, rather than tables."""


def find_shards(place: Path) -> Shards | None:
    """The tars, Parquet files or saved data set at a place; None if it holds none.

    Args:
        place: a folder of tars or of Parquet files; a folder that ``save_to_disk`` of ``datasets`` wrote; one such file; or a pattern of
            their names, such as ``data/train-*.parquet``.

    Raises:
        DataError: if there are tars and Parquet files, or the folder cannot be read.
    """
    if place.is_file():
        return _shards(place.parent, [place.name]) if place.name.lower().endswith(SHARDS) else None
    if not place.is_dir():
        root = place.parent
        return _shards(root, fnmatch.filter(find_files(root), place.name)) if root.is_dir() and set(place.name) & set("*?[") else None
    if (place / _DICT).is_file():
        parts = sorted(one for one in place.iterdir() if (one / _STATE).is_file())
        return Shards(place, tuple(f"{one.name}/{file}" for one in parts for file in _saved_files(one)), False) if parts else None
    if (place / _STATE).is_file():
        return Shards(place, tuple(_saved_files(place)), False)
    return _shards(place, find_files(place))


def _shards(root: Path, files: Sequence[str]) -> Shards | None:
    kinds = [of_kind(files, kind)[0] for kind in (_TAR, _PARQUET, _ARROW)]
    present = [chosen for chosen in kinds if chosen]
    if len(present) > 1:
        counts = ", ".join(f"{len(chosen):,} {chosen[0].rpartition('.')[2]}" for chosen in present)
        raise DataError(f"{root} holds files of several kinds ({counts}); one kind is expected. Give the folder with the data alone.")
    return Shards(root, tuple(present[0]), bool(kinds[0])) if present else None


def _found(place: Path, suffixes: tuple[str, ...], known: Sequence[str], column: str | None, label_column: str | None) -> Records:
    if place.is_file():
        name = place.name.lower()
        if name.endswith(_PARQUET):
            return TableRecords(place.parent, [place.name], column=column, label_column=label_column)
        if name.endswith(_TAR):
            return TarRecords(place.parent, [place.name], (*suffixes, *READABLE))
        if name.endswith(READABLE):
            return ArrayRecords(place)
        if name.endswith(suffixes):
            return FileRecords(place.parent, [place.name])
        raise DataError(f"{place} is none of {', '.join((*_PARQUET, *_TAR, *READABLE, *suffixes))}. Give such a file, or a folder.")
    if not place.is_dir():
        raise DataError(f"There is no file or folder {place}.")
    if (place / _DICT).is_file():
        inside = sorted(one.name for one in place.iterdir() if (one / _STATE).is_file())
        raise DataError(f"{place} holds the splits {', '.join(inside)}. Give one of them, such as {place / (inside or ['train'])[0]}.")
    if (place / _STATE).is_file():
        return TableRecords(place, _saved_files(place), column=column, label_column=label_column)
    files = find_files(place)
    kinds = {kind: of_kind(files, kind)[0] for kind in (_PARQUET, _TAR, (*suffixes, *READABLE))}
    present = {kind: chosen for kind, chosen in kinds.items() if chosen}
    if len(present) != 1:
        counts = ", ".join(f"{len(chosen):,} {chosen[0].rpartition('.')[2]}" for chosen in present.values())
        found = f"files of several kinds ({counts})" if present else f"no files of {', '.join((*_PARQUET, *_TAR, *suffixes))}"
        raise DataError(f"{place} holds {found}; one kind is expected. Give the folder with the data alone.")
    ((kind, chosen),) = present.items()
    if kind == _PARQUET:
        return TableRecords(place, chosen, column=column, label_column=label_column)
    return TarRecords(place, chosen, (*suffixes, *READABLE)) if kind == _TAR else FileRecords(place, chosen, known)


def _saved_files(place: Path) -> list[str]:
    """The Arrow files of a data set that ``save_to_disk`` wrote."""
    with explained(DataError, place / _STATE, "cannot be read", "Save the data set again."):
        state = config.loads(read_text(place / _STATE), str(place / _STATE))
    try:
        return [_inside(place, str(file["filename"])) for file in state["_data_files"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{place / _STATE} names no data files. Save the data set again with save_to_disk.") from error


def _inside(place: Path, name: str) -> str:
    if Path(name).name != name:
        raise DataError(f"{place / _STATE} names the file {name!r}, which is not in this folder. Save the data set again.")
    return name
