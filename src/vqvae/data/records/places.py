"""The items of tars, Parquet and Arrow files, each with the place of its bytes, so that any one can be read later without the others."""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from vqvae.data.records.tables import data_column, label_column_of, open_tables
from vqvae.data.records.tars import about, sample_name
from vqvae.errors import ConfigError, DataError
from vqvae.media.arrow import read_values

_LARGEST = 2**32 - 1
"""Bytes of one item: its size is stored in 32 bits."""
_TOLD = ("cls", "json")
"""Members of a tar that have labels."""


class Place(NamedTuple):
    """One item."""

    content: bytes
    """Its bytes, such as those of a picture file."""
    offset: int | None
    """Where they begin in the file. None if the file holds them compressed."""
    label: int | str | None = None
    """Its class, by number or name."""


class Bad(NamedTuple):
    """An item without bytes."""

    error: str


class Columns(NamedTuple):
    """The columns of tables that are read."""

    data: str
    label: str | None
    label_names: tuple[str, ...]
    """The names of the labels, if the tables have them."""


def find_columns(root: Path, files: Sequence[str], column: str | None, label_column: str | None) -> Columns:
    """Choose the columns of Parquet or Arrow files.

    Args:
        root: the folder of the files.
        files: the files.
        column: the column with the data. Default: the only one with bytes.
        label_column: the column with the labels. Default: ``label``, if there is one.

    Raises:
        ConfigError: if a column is missing or of the wrong kind, or several could have the data.
        DataError: if a file cannot be read, or has other columns.
    """
    table = open_tables(root, files)[0]
    data = data_column(table, column, label_column, kinds=("bytes",), flag="--data.column")
    label = label_column_of(table, data, label_column)
    return Columns(data, label, () if label is None else table.columns[label].names)


def table_places(path: Path, columns: Columns) -> Iterator[Place | Bad]:
    """The rows of a Parquet or Arrow file, in order.

    Raises:
        DataError: if the file is damaged.
    """
    for values in read_values(path, columns.data, columns.label):
        bounds = values.starts.tolist()
        for start, stop, missing, label in zip(bounds, bounds[1:], values.missing.tolist(), values.labels, strict=False):
            if missing:
                yield Bad(f"the column {columns.data!r} is empty here")
            else:
                content = bytes(values.data[start:stop])
                yield _checked(Place(content, None if values.place is None else values.place + start, label))


def tar_places(path: Path, suffixes: Sequence[str]) -> Iterator[Place | Bad]:
    """The samples of a WebDataset tar, in order.

    Args:
        path: the tar.
        suffixes: of the members that have data.

    Raises:
        DataError: if the tar is damaged, compressed or cut short.
    """
    try:
        with path.open("rb") as file, tarfile.open(path, "r:") as tar:
            name, members = None, {}
            for member in tar:
                tar.members = []  # They would pile up.  # pyrefly: ignore[missing-attribute]
                key, kind = sample_name(member.name) if member.isfile() else (None, "")
                if key is None:
                    continue
                if key != name and members:
                    yield _sample(file, members, tuple(suffixes))
                    members = {}
                name = key
                members[kind] = member
            if members:
                yield _sample(file, members, tuple(suffixes))
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a tar ({error}). Unpack it if it is compressed, or fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check its permissions.") from error


def _sample(file: IO[bytes], members: dict[str, tarfile.TarInfo], suffixes: tuple[str, ...]) -> Place | Bad:
    """One sample, from its members by their kinds."""
    found = next((kind for kind in members if f".{kind}".lower().endswith(suffixes)), None)
    if found is None:
        return Bad(f"it has the members {sorted(members)[:8]}; one of {', '.join(suffixes)} is expected")
    if members[found].issparse():
        return Bad(f"the member {members[found].name} is stored with holes; pack it again without --sparse")
    if members[found].size > _LARGEST:
        return Bad(f"the member {members[found].name} has {members[found].size:,} bytes; at most {_LARGEST:,} are read")
    try:
        label, _ = about({kind: _content(file, members[kind]) for kind in _TOLD if kind in members})
    except ConfigError as error:
        return Bad(str(error).rstrip("."))
    return _checked(Place(_content(file, members[found]), members[found].offset_data, label))


def _checked(place: Place) -> Place | Bad:
    """The item, unless it has no bytes."""
    return place if place.content else Bad("it has no bytes")


def _content(file: IO[bytes], member: tarfile.TarInfo) -> bytes:
    file.seek(member.offset_data)
    content = file.read(member.size)
    if len(content) < member.size:
        raise EOFError(f"it ends within {member.name}")
    return content
