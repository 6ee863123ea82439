"""The files that hold the codes of a whole data set. ``shard_writer`` writes them, ``shards`` reads them.

A folder has one safetensors file for every ``shard_size`` examples, and ``manifest.json``. A shard has these tensors. Integers have the
smallest type that fits their range.

- ``codes`` (examples, codebooks, *space).
- ``labels`` (examples,) and ``actions`` (examples, time), if the header names them.
- ``lengths`` (examples,) int64, if sequences are padded only at their ends; ``mask`` (examples, *space) bool for any other padding;
  neither without padding.
- ``codes.1``, ``lengths.1``, ``mask.1`` and so on for the levels after the first.

Manifests of versions 1 and 2 can be read; version 2 is written. Version 1 does not state its version. It has one level, no actions, and
lengths instead of masks. Shards have no version. Their metadata repeats the header and omits the fields that are new in version 2 if they
are empty. So a shard with one level and no actions is the same file in both versions, and an interrupted run of version 1 can resume.
"""

import dataclasses
import functools
import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeGuard

import numpy as np
from jaxtyping import Bool, Integer

from vqvae import config as configuration
from vqvae.codes import Level
from vqvae.disk import read_text
from vqvae.errors import ConfigError, DataError

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
_TYPES = {np.dtype(kind): name for kind, name in ((bool, "BOOL"), ("u1", "U8"), ("<u2", "U16"), ("<u4", "U32"), ("<i8", "I64"))}
"""The names of the types in safetensors."""
_LONGEST_HEADER = 100_000_000
"""In bytes: the limit of safetensors itself."""
_MOST_AXES = 30
"""numpy 1 allows 32 axes, and examples and codebooks take two."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelHeader:
    """The codes of one level."""

    num_codebooks: int
    """Number of codes at each position."""
    codebook_size: int
    """Number of possible codes, from 0."""
    space: tuple[int, ...]
    """Number of positions along each axis."""

    def __post_init__(self) -> None:
        if min(self.num_codebooks, self.codebook_size, *self.space) < 1:
            raise ConfigError(f"{self} describes no codes: every number in it must be at least 1.")
        if self.codebook_size > 2**31 or len(self.space) > _MOST_AXES:
            raise ConfigError(f"{self} is too large: codebooks have at most 2147483648 codes, and space at most {_MOST_AXES} axes.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodesHeader:
    """The form of the codes, and their source."""

    source: str
    """Identifies the tokenizer's weights and the data, so that other codes are never mistaken for these."""
    num_codebooks: int
    """Number of codes at each position of the first level."""
    codebook_size: int
    """Number of possible codes of the first level, from 0."""
    space: tuple[int, ...]
    """Number of positions along each axis of the first level."""
    count: int
    """Number of examples."""
    label_names: tuple[str, ...] = ()
    """Names of the labels; empty without labels."""
    shard_size: int = 4096
    """Number of examples in every shard but the last."""
    further: tuple[LevelHeader, ...] = ()
    """The levels after the first, in the order in which priors draw them."""
    action_names: tuple[str, ...] = ()
    """Names of the actions; empty without actions."""

    def __post_init__(self) -> None:
        if min(self.count, self.shard_size) < 1:
            raise ConfigError(f"{self} describes no codes: every number in it must be at least 1.")
        _ = self.levels  # The first level is checked as the others are.

    @classmethod
    def of(
        cls,
        *,
        source: str,
        layout: Sequence[Level],
        spaces: Sequence[tuple[int, ...]],
        count: int,
        label_names: Sequence[str] = (),
        action_names: Sequence[str] = (),
        shard_size: int = 4096,
    ) -> "CodesHeader":
        """The header of a tokenizer's codes.

        Args:
            layout: the tokenizer's layout, with at least one level.
            spaces: for each level, the number of positions along each axis.

        Raises:
            ConfigError: if there is not one space per level, or a number is below 1.
        """
        if not layout or len(layout) != len(spaces):
            raise ConfigError(f"The layout has {len(layout)} levels and there are {len(spaces)} spaces; give one space for each level.")
        first, *further = (
            LevelHeader(num_codebooks=level.num_codebooks, codebook_size=level.codebook_size, space=tuple(space))
            for level, space in zip(layout, spaces, strict=True)
        )
        return cls(
            source=source,
            num_codebooks=first.num_codebooks,
            codebook_size=first.codebook_size,
            space=first.space,
            count=count,
            label_names=tuple(label_names),
            shard_size=shard_size,
            further=tuple(further),
            action_names=tuple(action_names),
        )

    @functools.cached_property
    def levels(self) -> tuple[LevelHeader, ...]:
        """All levels, including the first."""
        first = LevelHeader(num_codebooks=self.num_codebooks, codebook_size=self.codebook_size, space=self.space)
        return (first, *self.further)

    @property
    def num_shards(self) -> int:
        """The number of files."""
        return -(-self.count // self.shard_size)

    def examples(self, shard: int) -> range:
        """The examples in one shard."""
        return range(shard * self.shard_size, min(self.count, (shard + 1) * self.shard_size))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodesManifest:
    """The header, and the sha256 of each shard's file, in order. It is written last, so it marks a complete set."""

    version: int = 1
    """The version of the format; 1 if a manifest does not state it."""
    header: CodesHeader
    sha256: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.version <= FORMAT_VERSION:
            raise ConfigError(f"{MANIFEST}.version is {self.version}; this release reads versions 1 to {FORMAT_VERSION}.")
        if len(self.sha256) != self.header.num_shards:
            raise ConfigError(f"{MANIFEST}.sha256 names {len(self.sha256)} shards; its header makes {self.header.num_shards} of them.")

    @property
    def digest(self) -> str:
        """Identifies the codes by their content."""
        return hashlib.blake2b("".join(self.sha256).encode(), digest_size=8).hexdigest()


class OpenShard(NamedTuple):
    """A shard, mapped into memory."""

    tensors: dict[str, np.ndarray]
    metadata: Any
    """The metadata in the file; not checked."""
    stamp: tuple[int, int, int]
    """Distinguishes the file from one that has replaced it since."""


def read_manifest(folder: Path) -> CodesManifest:
    """The manifest of a folder of codes.

    Raises:
        DataError: if the manifest is missing or damaged, or a later release wrote it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder} holds no {MANIFEST}: it has no codes, or writing them was interrupted. Write them again.")
    try:
        data = configuration.loads(read_text(path), "It")
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise DataError(f"Its version is {version}, and this release reads 1 to {FORMAT_VERSION}; a later release can read it.")
        return configuration.from_json(CodesManifest, data, MANIFEST)
    except (OSError, ValueError) as error:  # Our own errors among them.
        raise DataError(f"{path} is damaged: {error} Remove the folder; the codes are then made again.") from error


def open_shard(folder: Path, header: CodesHeader, number: int, sha256: str | None = None) -> OpenShard:
    """Map a shard into memory, after a check of its header against the codes' header and the file size.

    Args:
        sha256: the expected sha256 of the file; not checked if omitted.

    Raises:
        DataError: if the shard is missing, damaged or holds other codes.
    """
    path = shard_path(folder, number)
    if not path.is_file():
        raise DataError(f"{path} is missing. Write the codes again: existing shards are kept.")
    with path.open("rb") as file:
        if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise DataError(
                f"{path} is not the file that was written: its sha256 differs from the manifest's. Remove it and write the codes again."
            )
        status = os.fstat(file.fileno())
        try:
            entries = _read_entries(file, status.st_size)
            metadata, start = entries.pop("__metadata__", {}), file.tell()
            _check_entries(entries, header, len(header.examples(number)), status.st_size - start)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is damaged: {error} Remove it and write the codes again.") from error
        data = np.memmap(file, np.uint8, "r", shape=(status.st_size,)).view(np.ndarray)[start:]
    kinds = {name: kind for kind, name in _TYPES.items()}
    tensors = {
        name: data[slice(*entry["data_offsets"])].view(kinds[entry["dtype"]]).reshape(entry["shape"]) for name, entry in entries.items()
    }
    return OpenShard(tensors, metadata, (status.st_ino, status.st_size, status.st_mtime_ns))


def shard_path(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return folder / f"shard-{number:05d}.safetensors"


def tensor_name(kind: str, level: int) -> str:
    """The name of a level's codes, lengths or mask in a shard."""
    return f"{kind}.{level}" if level else kind


def smallest_type(values: int) -> np.dtype:
    """The smallest type for the integers from 0 to below ``values``, little-endian."""
    return np.min_scalar_type(values - 1).newbyteorder("<")


def mask_of_lengths(lengths: Integer[np.ndarray, " examples"], full: int) -> Bool[np.ndarray, "examples {full}"]:
    """True where a sequence has not ended."""
    return np.arange(full) < lengths[:, None]


def _read_entries(file: BinaryIO, size: int) -> dict[str, Any]:
    """The header entries of a safetensors file, by tensor name. Afterwards the file is positioned at the data."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, _LONGEST_HEADER):
        raise ValueError(f"It has {size} bytes, too few for its header of {length}.")
    entries = configuration.loads(file.read(length).decode(), "Its header")
    if not isinstance(entries, dict):
        raise ValueError("Its header is not an object.")
    return entries


def _check_entries(entries: dict[str, Any], header: CodesHeader, examples: int, size: int) -> None:
    """Raise ValueError unless a shard's tensors have the names, types and shapes that the header asks for, and fill its file."""
    needed, taken = _expected(header, examples, optional=False), 0
    allowed = needed | _expected(header, examples, optional=True)
    if not needed.keys() <= entries.keys() <= allowed.keys():
        raise ValueError(f"It has the tensors {sorted(entries)}; expected {sorted(needed)}.")
    for name, entry in entries.items():
        kind, expected = allowed[name]
        shape, offsets = (entry.get(field) if isinstance(entry, dict) else None for field in ("shape", "data_offsets"))
        if not (_are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2):
            raise ValueError(f"Its tensor {name!r} has no shape or no place.")
        fits = len(shape) == len(expected) and all(wanted in (None, there) for wanted, there in zip(expected, shape, strict=True))
        if not fits or entry.get("dtype") != _TYPES[kind]:
            raise ValueError(f"Its tensor {name!r} is {entry.get('dtype')} of the shape {shape}; expected {_TYPES[kind]} of {expected}.")
        begin, end = offsets
        if end > size or end - begin != math.prod(shape) * kind.itemsize:
            raise ValueError(f"Its tensor {name!r} of the shape {shape} claims bytes {begin} to {end} of {size}.")
        taken += end - begin
    if taken != size:
        raise ValueError(f"Its tensors take {taken} bytes, but it has {size}.")


def _expected(header: CodesHeader, examples: int, *, optional: bool) -> dict[str, tuple[np.dtype, tuple[int | None, ...]]]:
    """The types and shapes of a shard's required or optional tensors; None stands for any size."""
    found: dict[str, tuple[np.dtype, tuple[int | None, ...]]] = {}
    for number, level in enumerate(header.levels):
        if not optional:
            shape = (examples, level.num_codebooks, *level.space)
            found[tensor_name("codes", number)] = (smallest_type(level.codebook_size), shape)
            continue
        found[tensor_name("mask", number)] = (np.dtype(bool), (examples, *level.space))
        if len(level.space) == 1:
            found[tensor_name("lengths", number)] = (np.dtype("<i8"), (examples,))
    if header.label_names and not optional:
        found["labels"] = (smallest_type(len(header.label_names)), (examples,))
    if header.action_names and not optional:
        found["actions"] = (smallest_type(len(header.action_names)), (examples, None))
    return found


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
