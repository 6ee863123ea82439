"""The samples of WebDataset tars as records: files in a row with one name up to its first dot."""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqvae import config
from vqvae.data.records.base import BadRecord, Encoded, Facts, Record, Records, digest_of
from vqvae.errors import ConfigError, DataError

_LARGEST = 2**32
"""Bytes of one member: more does not fit into memory."""


class TarRecords(Records):
    """Each sample is an item. Its id is the tar and the sample's name, ``shard-0.tar/000017``.

    One member has the data, by its suffix. ``.cls`` has the label, as a number or a name; ``.json`` may have ``label`` and ``actions``.
    """

    def __init__(self, root: Path, files: Sequence[str], suffixes: Sequence[str]) -> None:
        """Look through the headers of the tars for the place of each sample.

        Args:
            root: the folder of the tars.
            files: the tars, in order.
            suffixes: of members that have data.

        Raises:
            DataError: if a tar is damaged or compressed.
        """
        self._root, self._files, self._suffixes = root, tuple(files), tuple(suffixes)
        places = [_index(root / file) for file in files]
        self._offsets = np.concatenate([np.zeros(0, np.int64), *places])
        self._ends = np.cumsum([0, *map(len, places)])
        sizes = [[file, (root / file).stat().st_size, len(place)] for file, place in zip(files, places, strict=True)]
        first = next(iter(self._samples(0, 1)), None)
        label, actions = (None, None) if first is None else about(first[1])
        kind = "" if label is None else "int" if isinstance(label, int) else "text"
        self.facts = Facts("samples of tars", digest_of(sizes), len(self._offsets), kind, has_actions=actions is not None)

    def read(self, start: int, stop: int) -> Iterator[Record | BadRecord]:
        for name, members in self._samples(start, stop):
            yield self._record(name, members)

    def _samples(self, start: int, stop: int) -> Iterator[tuple[str, dict[str, bytes] | str]]:
        """The name and the members of each sample; a reason in place of the members if they cannot be read."""
        for number, file in enumerate(self._files):
            low, high = max(start, self._ends[number]), min(stop, self._ends[number + 1])
            for place in range(low, high):
                try:
                    key, members = _sample(self._root / file, int(self._offsets[place]))
                    yield f"{file}/{key}", members
                except (DataError, OSError, tarfile.TarError) as error:
                    yield f"{file}/#{place - self._ends[number]}", f"The tar cannot be read here: {error}"

    def _record(self, name: str, members: dict[str, bytes] | str) -> Record | BadRecord:
        if isinstance(members, str):
            return BadRecord(name, members)
        found = next((one for one in members if f".{one}".lower().endswith(self._suffixes)), None)
        if found is None:
            return BadRecord(name, f"It has the members {sorted(members)[:8]}; one of {', '.join(self._suffixes)} is expected.")
        try:
            label, actions = about(members)
        except ConfigError as error:
            return BadRecord(name, str(error))
        if self.facts.labels == "int" and not isinstance(label, int | None):
            return BadRecord(name, f"Its label is {label!r}; the labels before it are numbers.")
        if self.facts.has_actions and actions is None:
            return BadRecord(name, "It has no actions, but the first sample has.")
        label = str(label) if label is not None and self.facts.labels == "text" else label
        return Record(name, Encoded(members[found], f"x.{found}"), label if self.facts.labels else None, actions)


def _index(path: Path) -> np.ndarray:
    """Where each sample begins, in bytes."""
    offsets, before = [], None
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                tar.members = []  # They would pile up.  # pyrefly: ignore[missing-attribute]
                key = sample_name(member.name)[0] if member.isfile() else None
                if key is not None and key != before:
                    offsets.append(member.offset)
                before = before if key is None else key
    except tarfile.TarError as error:
        raise DataError(f"{path} cannot be read as a tar ({error}). Unpack it if it is compressed, or fetch it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check its permissions.") from error
    return np.array(offsets, np.int64)


def _sample(path: Path, offset: int) -> tuple[str, dict[str, bytes]]:
    """The name and the members of the sample that begins at an offset."""
    members: dict[str, bytes] = {}
    name = None
    with path.open("rb") as file:
        file.seek(offset)
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                key, kind = sample_name(member.name) if member.isfile() else (None, "")
                if key is None:
                    continue
                if name not in (None, key):
                    break
                name = key
                content = tar.extractfile(member)
                if content is None or member.size > _LARGEST:
                    raise DataError(f"the member {member.name} has {member.size} bytes; at most {_LARGEST} are read")
                members[kind] = content.read()
    if name is None:
        raise DataError("there is no sample")
    return name, members


def sample_name(name: str) -> tuple[str | None, str]:
    """The name of a sample and the kind of a member: ``a/b.seg.png`` is ``a/b`` and ``seg.png``. None for other members."""
    folder, slash, file = name.rpartition("/")
    stem, dot, kind = file.partition(".")
    return (f"{folder}{slash}{stem}" if stem and dot and kind else None), kind


def about(members: dict[str, bytes] | str) -> tuple[int | str | None, tuple[int, ...] | None]:
    """The label and the actions of a sample.

    Raises:
        ConfigError: if they cannot be read.
    """
    if isinstance(members, str):
        return None, None
    label: Any = None
    actions = None
    if "json" in members:
        found = config.loads(_text(members["json"]), "The member .json")
        found = found if isinstance(found, dict) else {}
        label, actions = found.get("label"), found.get("actions")
        if not isinstance(label, int | str | None) or isinstance(label, bool):
            raise ConfigError(f"The label in .json is {label!r}; a number or a name is expected.")
        if actions is not None and not (isinstance(actions, list) and all(type(action) is int for action in actions)):
            raise ConfigError("The actions in .json are no list of whole numbers.")
    if "cls" in members:
        text = _text(members["cls"]).strip()
        label = int(text) if text.isdecimal() and len(text) < 19 else text
    return label, None if actions is None else tuple(actions)


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError("A member with text is not UTF-8.") from error
