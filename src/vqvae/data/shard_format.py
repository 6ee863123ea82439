"""What codes of a whole data set are on disk; ``shard_writer`` writes them and ``shards`` reads them.

A folder has a safetensors file for every ``shard_size`` examples, and ``manifest.json``. The tensors of a shard, each integer in the
smallest type that its range needs:

- ``codes`` (examples, codebooks, *space).
- ``labels`` (examples,) and ``actions`` (examples, time), where the header has names for them.
- ``lengths`` (examples,) int64, where sequences are filled up at their ends, or ``mask`` (examples, *space) bool, where what stands for
  data is of any other form. A shard has neither where all of it stands for data.
- ``codes.1``, ``lengths.1``, ``mask.1`` and so on for the levels after the first.

Two versions of the manifest are read. Version 1 does not say its version; it has one level, no actions and no masks but lengths. Version
2 is what is written. Shards have no version: the metadata of one repeats the header without the fields that version 1 did not have where
these are empty, so a shard of one level without actions is the same file in both. What an interrupted run of version 1 left is kept.
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
"""What safetensors calls them."""
_LONGEST_HEADER = 100_000_000
"""Bytes: the limit of safetensors itself."""
_MOST_AXES = 30
"""numpy 1 has no more than 32, and examples and codebooks are two."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LevelHeader:
    """What the codes of one level are."""

    num_codebooks: int
    """Codes at each position."""
    codebook_size: int
    """Every code is from 0 to below it."""
    space: tuple[int, ...]
    """Positions along each axis."""

    def __post_init__(self) -> None:
        if min(self.num_codebooks, self.codebook_size, *self.space) < 1:
            raise ConfigError(f"{self} describes no codes: every number in it must be at least 1.")
        if self.codebook_size > 2**31 or len(self.space) > _MOST_AXES:
            raise ConfigError(f"{self} is too large: codebooks have at most 2147483648 codes, and space at most {_MOST_AXES} axes.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodesHeader:
    """What the codes are, and where they are from."""

    source: str
    """Names the tokenizer's weights and the data, so that codes of others are never taken for these."""
    num_codebooks: int
    """Codes at each position of the first level."""
    codebook_size: int
    """Every code of the first level is from 0 to below it."""
    space: tuple[int, ...]
    """Positions along each axis of the first level."""
    count: int
    """Examples."""
    label_names: tuple[str, ...] = ()
    """Names of the labels; empty where there are none."""
    shard_size: int = 4096
    """Examples in every shard but the last."""
    further: tuple[LevelHeader, ...] = ()
    """The levels after the first, in the order in which priors draw them."""
    action_names: tuple[str, ...] = ()
    """Names of the actions; empty where there are none."""

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
            layout: of the tokenizer, with at least one level.
            spaces: of each level, the positions along each axis.

        Raises:
            ConfigError: not one space for each level, or a number below 1.
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
        """All levels, the first among them."""
        first = LevelHeader(num_codebooks=self.num_codebooks, codebook_size=self.codebook_size, space=self.space)
        return (first, *self.further)

    @property
    def num_shards(self) -> int:
        """How many files the examples take."""
        return -(-self.count // self.shard_size)

    def examples(self, shard: int) -> range:
        """The examples in one shard."""
        return range(shard * self.shard_size, min(self.count, (shard + 1) * self.shard_size))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodesManifest:
    """The header and the sha256 of each shard's file, in order; it is written last, so that it stands for a complete set."""

    version: int = 1
    """Of the format; 1 where a manifest does not say."""
    header: CodesHeader
    sha256: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 <= self.version <= FORMAT_VERSION:
            raise ConfigError(f"{MANIFEST}.version is {self.version}; this release reads versions 1 to {FORMAT_VERSION}.")
        if len(self.sha256) != self.header.num_shards:
            raise ConfigError(f"{MANIFEST}.sha256 names {len(self.sha256)} shards; its header makes {self.header.num_shards} of them.")

    @property
    def digest(self) -> str:
        """Names the codes by their content."""
        return hashlib.blake2b("".join(self.sha256).encode(), digest_size=8).hexdigest()


class OpenShard(NamedTuple):
    """A shard that is mapped into memory."""

    tensors: dict[str, np.ndarray]
    metadata: Any
    """What its file says; not checked."""
    stamp: tuple[int, int, int]
    """Tells its file from one that has taken its place since."""


def read_manifest(folder: Path) -> CodesManifest:
    """What a folder of codes holds.

    Raises:
        DataError: there is no manifest, it is not one, or a later release wrote it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(f"{folder} holds no {MANIFEST}: there are no codes in it, or writing them was never finished. Start that again.")
    try:
        data = configuration.loads(read_text(path), "It")
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise DataError(f"Its version is {version}, and this release reads 1 to {FORMAT_VERSION}; a later release can read it.")
        return configuration.from_json(CodesManifest, data, MANIFEST)
    except (OSError, ValueError) as error:  # Our own errors among them.
        raise DataError(f"{path} is damaged: {error} Remove the folder to have the codes made anew.") from error


def open_shard(folder: Path, header: CodesHeader, number: int, sha256: str | None = None) -> OpenShard:
    """Map a shard into memory, once its own header agrees with that of the codes and with the size of its file.

    Args:
        sha256: what the file must have; not checked where it is left out.

    Raises:
        DataError: the shard is missing, is damaged or holds other codes.
    """
    path = shard_path(folder, number)
    if not path.is_file():
        raise DataError(f"{path} is missing. Have the codes written again: shards that are there are kept.")
    with path.open("rb") as file:
        if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise DataError(
                f"{path} is not the file that was written: its sha256 differs from the manifest's. Remove it and have it written again."
            )
        status = os.fstat(file.fileno())
        try:
            entries = _read_entries(file, status.st_size)
            metadata, start = entries.pop("__metadata__", {}), file.tell()
            _check_entries(entries, header, len(header.examples(number)), status.st_size - start)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is damaged: {error} Remove it and have it written again.") from error
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
    """What the codes, lengths or mask of a level are called in a shard."""
    return f"{kind}.{level}" if level else kind


def smallest_type(values: int) -> np.dtype:
    """The smallest type for the integers from 0 to below ``values``, little-endian."""
    return np.min_scalar_type(values - 1).newbyteorder("<")


def mask_of_lengths(lengths: Integer[np.ndarray, " examples"], full: int) -> Bool[np.ndarray, "examples {full}"]:
    """True where a sequence has not ended."""
    return np.arange(full) < lengths[:, None]


def _read_entries(file: BinaryIO, size: int) -> dict[str, Any]:
    """What a safetensors file says of its tensors, by name; the file stands at their data then."""
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, _LONGEST_HEADER):
        raise ValueError(f"It has {size} bytes, too few for its header of {length}.")
    entries = configuration.loads(file.read(length).decode(), "Its header")
    if not isinstance(entries, dict):
        raise ValueError("Its header is no object.")
    return entries


def _check_entries(entries: dict[str, Any], header: CodesHeader, examples: int, size: int) -> None:
    """Raise ValueError unless a shard's tensors have the names, types and shapes that the header asks for, and fill its file."""
    needed, taken = _expected(header, examples, optional=False), 0
    allowed = needed | _expected(header, examples, optional=True)
    if not needed.keys() <= entries.keys() <= allowed.keys():
        raise ValueError(f"It has the tensors {sorted(entries)}; {sorted(needed)} are expected.")
    for name, entry in entries.items():
        kind, expected = allowed[name]
        shape, offsets = (entry.get(field) if isinstance(entry, dict) else None for field in ("shape", "data_offsets"))
        if not (_are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2):
            raise ValueError(f"Its tensor {name!r} has no shape or no place.")
        fits = len(shape) == len(expected) and all(wanted in (None, there) for wanted, there in zip(expected, shape, strict=True))
        if not fits or entry.get("dtype") != _TYPES[kind]:
            raise ValueError(f"Its tensor {name!r} is {entry.get('dtype')} of the shape {shape}; {_TYPES[kind]} of {expected} is expected.")
        begin, end = offsets
        if end > size or end - begin != math.prod(shape) * kind.itemsize:
            raise ValueError(f"Its tensor {name!r} of the shape {shape} is said to lie at the bytes {begin} to {end} of {size}.")
        taken += end - begin
    if taken != size:
        raise ValueError(f"Its tensors take {taken} bytes, but it has {size}.")


def _expected(header: CodesHeader, examples: int, *, optional: bool) -> dict[str, tuple[np.dtype, tuple[int | None, ...]]]:
    """The types and shapes of tensors that a shard has, or of those that it may have; None stands for any size."""
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
