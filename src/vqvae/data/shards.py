"""Codes of a whole data set on disk, in shards: written once by a tokenizer, read many times by priors."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Integer
from safetensors import SafetensorError
from safetensors.numpy import load, save

from vqvae import config as configuration
from vqvae.data.base import Batch, Condition, Dataset
from vqvae.disk import atomic
from vqvae.errors import ConfigError, DataError
from vqvae.signals import AXES, Signal

_MANIFEST = "manifest.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodesHeader:
    """What the codes are, and where they are from."""

    source: str
    """Names the tokenizer's weights and the data, so that codes of others are never taken for these."""
    num_codebooks: int
    """Codes at each position."""
    codebook_size: int
    """Every code is from 0 to below it."""
    space: tuple[int, ...]
    """Positions along each axis."""
    count: int
    """Examples."""
    label_names: tuple[str, ...] = ()
    """Names of the labels; empty where there are none."""
    shard_size: int = 4096
    """Examples in every shard but the last."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CodesManifest:
    """The header and the sha256 of each shard's file, in order; it is written last, so that it stands for a complete set."""

    header: CodesHeader
    sha256: tuple[str, ...]


class Shard(NamedTuple):
    """One shard still to be written, and the examples that belong in it."""

    number: int
    examples: range


class CodesWriter:
    """Write codes shard by shard; what an interrupted run has finished is kept.

    ```
    writer = CodesWriter(folder, header)
    for shard in writer.missing():
        writer.write(shard, codes_of(shard.examples))
    writer.finish()
    ```
    Several processes may share the work, each taking other shards; one of them calls ``finish`` when all are done.
    """

    def __init__(self, folder: Path, header: CodesHeader, *, on_mismatch: Literal["error", "rewrite"] = "error") -> None:
        """Open or create the folder.

        Raises:
            ConfigError: the header is impossible.
            DataError: the folder has codes of another source or shape, and ``on_mismatch`` does not allow to write over them.
        """
        if min(header.num_codebooks, header.codebook_size, header.count, header.shard_size, *header.space) < 1:
            raise ConfigError(f"{header} describes no codes: every number in it must be at least 1.")
        self._folder, self._header = folder, header
        self._dtype = np.min_scalar_type(header.codebook_size - 1)
        manifest = folder / _MANIFEST
        if manifest.is_file():
            try:
                _expect(header, read_manifest(folder).header, folder)
            except DataError:
                if on_mismatch == "error":
                    raise
                manifest.unlink()
        folder.mkdir(parents=True, exist_ok=True)

    def missing(self) -> Iterator[Shard]:
        """The shards that are not there, are damaged, or hold codes of another source, with the examples they need."""
        for number in range(_num_shards(self._header)):
            shard = Shard(number, _examples(self._header, number))
            if not self._is_good(shard):
                yield shard

    def write(
        self,
        shard: Shard,
        codes: Integer[np.ndarray, "examples codebooks *space"],
        labels: Integer[np.ndarray, " examples"] | None = None,
        lengths: Integer[np.ndarray, " examples"] | None = None,
    ) -> None:
        """Write one shard, whole or not at all.

        Args:
            lengths: of sequences that are filled up at their ends, how many positions of each are its own.

        Raises:
            DataError: wrong number of examples, wrong shape, codes out of range, labels where the header has no names (or the reverse), or
                lengths that no sequence can have.
        """
        header, where = self._header, f"{self._folder / _shard_name(shard.number)}"
        expected = (len(shard.examples), header.num_codebooks, *header.space)
        if codes.shape != expected:
            raise DataError(f"{where} was given codes of shape {codes.shape}; it takes {expected}.")
        if codes.min() < 0 or codes.max() >= header.codebook_size:
            raise DataError(f"{where} was given codes from {codes.min()} to {codes.max()}; they must be in [0, {header.codebook_size}).")
        if (labels is not None) != bool(header.label_names):
            raise DataError(
                f"{where} was given {'no ' if labels is None else ''}labels, but the header has {len(header.label_names)} label names."
            )
        arrays = {"codes": np.ascontiguousarray(codes, self._dtype)}
        if labels is not None:
            if labels.shape != expected[:1] or labels.min() < 0 or labels.max() >= len(header.label_names):
                raise DataError(f"{where} was given labels that do not fit: {expected[0]} in [0, {len(header.label_names)}) are expected.")
            arrays["labels"] = np.ascontiguousarray(labels, np.min_scalar_type(len(header.label_names) - 1))
        if lengths is not None:
            if len(header.space) != 1 or lengths.shape != expected[:1] or lengths.min() < 1 or lengths.max() > header.space[0]:
                raise DataError(f"{where} was given lengths that do not fit: {expected[0]} from 1 to {header.space[0]} are expected.")
            arrays["lengths"] = np.ascontiguousarray(lengths, np.int64)
        with atomic(self._folder / _shard_name(shard.number)) as partial:
            partial.write_bytes(save(arrays, metadata=self._metadata(shard, arrays)))

    def finish(self) -> CodesManifest:
        """Write the manifest.

        Raises:
            DataError: a shard is still missing.
        """
        missing = [shard.number for shard in self.missing()]
        if missing:
            raise DataError(
                f"{self._folder} still lacks {len(missing)} shards, the first of them {missing[0]}; write them before finish()."
            )
        digests = tuple(_sha256(self._folder / _shard_name(number)) for number in range(_num_shards(self._header)))
        manifest = CodesManifest(header=self._header, sha256=digests)
        with atomic(self._folder / _MANIFEST) as partial:
            partial.write_text(configuration.dumps(manifest))
        return manifest

    def _is_good(self, shard: Shard) -> bool:
        path = self._folder / _shard_name(shard.number)
        if not path.is_file():
            return False
        data = path.read_bytes()
        try:
            arrays, metadata = load(data), _metadata(data)
        except (SafetensorError, ValueError):
            return False
        return metadata == self._metadata(shard, arrays)

    def _metadata(self, shard: Shard, arrays: dict[str, np.ndarray]) -> dict[str, str]:
        # One entry: safetensors writes several in an order that changes from run to run, and equal shards must be equal files.
        return {"shard": json.dumps([configuration.to_json(self._header), shard.number, _content(arrays)])}


class CodesDataset(Dataset):
    """Codes from a folder that ``CodesWriter`` finished, kept in memory in the smallest type that holds them.

    A batch is ``x`` int64 (batch, codebooks, *space) with ``condition.label`` int64 (batch,) where there are labels, and ``mask``
    (batch, time) where sequences were filled up.
    """

    def __init__(self, folder: Path, *, source: str | None = None, labels: bool = True) -> None:
        """Read and check every shard.

        Args:
            folder: what the writer was given.
            source: where the codes must be from; not checked where it is left out.
            labels: whether to give the labels, where there are any; a prior without classes takes none.

        Raises:
            DataError: no manifest, another source, a shard that is missing or is not the one that was written.
        """
        manifest = read_manifest(folder)
        self.header = manifest.header
        """What the codes are."""
        if source is not None and source != self.header.source:
            raise DataError(
                f"{folder} has codes of {self.header.source!r}; codes of {source!r} are expected. Remove it to have them made anew."
            )
        shards = [_read_shard(folder / _shard_name(number), digest) for number, digest in enumerate(manifest.sha256)]
        self._codes = np.concatenate([shard["codes"] for shard in shards])
        self._labels = np.concatenate([shard["labels"] for shard in shards]) if self.header.label_names and labels else None
        full = self.header.space[0]
        lengths = [shard.get("lengths", np.full(len(shard["codes"]), full)) for shard in shards]
        self._lengths = np.concatenate(lengths) if any("lengths" in shard for shard in shards) else None
        expected = (self.header.count, self.header.num_codebooks, *self.header.space)
        if self._codes.shape != expected:
            raise DataError(
                f"{folder} holds codes of shape {self._codes.shape}, but its manifest says {expected}. Remove it to have them made anew."
            )
        self.name = f"codes-{hashlib.blake2b(''.join(manifest.sha256).encode(), digest_size=8).hexdigest()}"
        self.label_names = self.header.label_names if labels else ()
        space = self.header.space
        axes = AXES.get(len(space), tuple(f"axis {number}" for number in range(len(space))))
        # A signal has two levels at least, also where a codebook has but one code.
        self.signal = Signal(axes=axes, channels=self.header.num_codebooks, levels=max(self.header.codebook_size, 2))

    def __len__(self) -> int:
        return len(self._codes)

    def batch(self, indices: np.ndarray) -> Batch:
        codes = torch.from_numpy(self._codes.take(indices, axis=0).astype(np.int64))
        label = None if self._labels is None else torch.from_numpy(self._labels[indices].astype(np.int64))
        mask = None if self._lengths is None else torch.from_numpy(np.arange(codes.shape[2]) < self._lengths[indices][:, None])
        return Batch(codes, Condition(label=label), mask)


def read_manifest(folder: Path) -> CodesManifest:
    """What a folder of codes holds.

    Raises:
        DataError: there is no manifest, or it is not one.
    """
    path = folder / _MANIFEST
    if not path.is_file():
        raise DataError(f"{folder} holds no {_MANIFEST}: there are no codes in it, or writing them was never finished. Start that again.")
    try:
        return configuration.from_json(CodesManifest, json.loads(path.read_text()), _MANIFEST)
    except ValueError as error:  # Both our own error and the one for text that is not JSON.
        raise DataError(f"{path} is damaged: {error} Remove the folder to have the codes made anew.") from error


def _expect(header: CodesHeader, found: CodesHeader, folder: Path) -> None:
    changes = configuration.differences(configuration.to_json(found), configuration.to_json(header), "codes")
    if changes:
        raise DataError(f"{folder} holds other codes ({'; '.join(changes)}). Remove it, or allow it to be written over.")


def _num_shards(header: CodesHeader) -> int:
    return -(-header.count // header.shard_size)


def _examples(header: CodesHeader, number: int) -> range:
    return range(number * header.shard_size, min(header.count, (number + 1) * header.shard_size))


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.safetensors"


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__", {})


def _content(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_shard(path: Path, sha256: str) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"{path} is missing. Have the codes written again: shards that are there are kept.")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DataError(
            f"{path} is not the file that was written: its sha256 differs from the manifest's. Remove it and have it written again."
        )
    return load(data)
