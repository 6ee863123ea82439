"""Write the codes of a whole data set in shards, batch by batch; see ``shard_format``."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from safetensors import SafetensorError
from safetensors.numpy import save_file
from torch import Tensor

from vqvae import config as configuration
from vqvae.codes import Codes, check_codes
from vqvae.data.base import Condition
from vqvae.data.shard_format import (
    FORMAT_VERSION,
    MANIFEST,
    CodesHeader,
    CodesManifest,
    mask_of_lengths,
    open_shard,
    read_manifest,
    shard_path,
    smallest_type,
    tensor_name,
)
from vqvae.disk import atomic, explained
from vqvae.errors import DataError

_SINCE_VERSION_2 = ("further", "action_names")


class Shard(NamedTuple):
    """A shard to write, and its examples."""

    number: int
    examples: range


class CodesWriter:
    """Write codes shard by shard. Shards that an interrupted run has finished are kept.

    ```
    writer = CodesWriter(folder, header)
    for shard in writer.missing():
        writer.write(shard, ((encode(batch), batch.condition) for batch in batches_of(shard.examples)))
    writer.finish()
    ```
    Several processes may share the work, each with different shards. One of them calls ``finish`` when all are done.
    """

    def __init__(self, folder: Path, header: CodesHeader, *, on_mismatch: Literal["error", "rewrite"] = "error") -> None:
        """Open or create the folder.

        Raises:
            DataError: if the folder has codes of another source or shape and ``on_mismatch`` does not allow overwriting, or it cannot be
                created.
        """
        self._folder, self._header = folder, header
        manifest = folder / MANIFEST
        if manifest.is_file():
            try:
                _expect(header, read_manifest(folder).header, folder)
            except DataError:
                if on_mismatch == "error":
                    raise
                manifest.unlink(missing_ok=True)  # Another process may do the same.
        with explained(DataError, folder):
            folder.mkdir(parents=True, exist_ok=True)

    def missing(self) -> Iterator[Shard]:
        """The shards that are missing, damaged, or hold codes of another source, with their examples."""
        for number in range(self._header.num_shards):
            shard = Shard(number, self._header.examples(number))
            if not self._is_good(shard):
                yield shard

    def write(self, shard: Shard, encoded: Iterable[tuple[Codes, Condition]]) -> None:
        """Write one shard, completely or not at all. Memory holds this shard, in the smallest types, and one batch.

        Args:
            encoded: the shard's examples in order, in batches of any size: the codes of all levels with their masks, and the condition,
                whose labels and actions are kept. It may be a generator; it is iterated once.

        Raises:
            DataError: if the number of examples, the levels or shapes are wrong, codes are out of range, or labels or actions do not fit
                the header's names, for example because only one of the two has them.
        """
        path = shard_path(self._folder, shard.number)
        arrays = _arrays_of(self._header, len(shard.examples), encoded, path)
        with atomic(path, DataError) as partial:
            try:
                save_file(arrays, partial, metadata=self._metadata(shard, arrays))
            except SafetensorError as error:  # For example a full disk.
                raise DataError(f"{path} could not be written ({error}). Existing files are unchanged.") from error

    def finish(self) -> CodesManifest:
        """Write the manifest.

        Raises:
            DataError: if a shard is missing.
        """
        missing = [shard.number for shard in self.missing()]
        if missing:
            raise DataError(f"{self._folder} still lacks {len(missing)} shards, first {missing[0]}; write them before finish().")
        digests = tuple(_sha256(shard_path(self._folder, number)) for number in range(self._header.num_shards))
        manifest = CodesManifest(version=FORMAT_VERSION, header=self._header, sha256=digests)
        with atomic(self._folder / MANIFEST, DataError) as partial:
            partial.write_text(configuration.dumps(manifest))
        return manifest

    def _is_good(self, shard: Shard) -> bool:
        try:
            found = open_shard(self._folder, self._header, shard.number)
        except DataError:
            return False
        return found.metadata == self._metadata(shard, found.tensors)

    def _metadata(self, shard: Shard, arrays: dict[str, np.ndarray]) -> dict[str, str]:
        header = configuration.to_json(self._header)
        header = {name: value for name, value in header.items() if value or name not in _SINCE_VERSION_2}
        # One entry: safetensors writes several in random order, and equal shards must be equal files.
        return {"shard": json.dumps([header, shard.number, _content(arrays)])}


def _arrays_of(header: CodesHeader, examples: int, encoded: Iterable[tuple[Codes, Condition]], path: Path) -> dict[str, np.ndarray]:
    """The tensors of one shard."""
    codes = [np.empty((examples, level.num_codebooks, *level.space), smallest_type(level.codebook_size)) for level in header.levels]
    masks = [_Mask(examples, level.space) for level in header.levels]
    labels = _Given("labels", header.label_names, examples, path)
    actions = _Given("actions", header.action_names, examples, path)
    done = 0
    for batch, condition in encoded:
        size = _check_batch(header, batch, path)
        rows = slice(done, done + size)
        done += size
        if done > examples:
            break
        for number, (level, level_mask) in enumerate(zip(batch, batch.masks, strict=True)):
            codes[number][rows] = level.cpu().numpy()
            if level_mask is not None:
                masks[number].put(rows, level_mask.cpu().numpy())
        labels.put(rows, condition.label, (size,))
        actions.put(rows, condition.actions, (size, None))
    if done != examples:
        raise DataError(f"{path} was given {f'{done} examples' if done < examples else 'more'}; it takes {examples}.")
    arrays = {tensor_name("codes", number): level for number, level in enumerate(codes)}
    for number, mask in enumerate(masks):
        arrays |= {tensor_name(kind, number): array for kind, array in mask.arrays().items()}
    return arrays | labels.arrays() | actions.arrays()


def _check_batch(header: CodesHeader, codes: Codes, path: Path) -> int:
    """The examples of a batch. Raise DataError if it does not match the header."""
    if len(codes) != len(header.levels):
        raise DataError(f"{path} was given codes of {len(codes)} levels; it takes {len(header.levels)}.")
    for level, tensor, mask in zip(header.levels, codes, codes.masks, strict=True):
        check_codes(tensor, level.num_codebooks, level.codebook_size, f"shard {path}")
        expected = (len(codes[0]), level.num_codebooks, *level.space)
        if tensor.shape != expected:
            raise DataError(f"{path} was given codes of the shape {tuple(tensor.shape)}; it takes {expected}.")
        expected = (len(codes[0]), *level.space)
        if mask is not None and (mask.dtype != torch.bool or mask.shape != expected):
            raise DataError(f"{path} was given a mask, {mask.dtype} of the shape {tuple(mask.shape)}; it takes bool of {expected}.")
    return len(codes[0])


class _Mask:
    """The codes of a level that stand for data: lengths as long as padding is only at the end, else a flag per position."""

    def __init__(self, examples: int, space: tuple[int, ...]) -> None:
        self._examples, self._space = examples, space
        self._lengths = np.full(examples, space[0], "<i8") if len(space) == 1 else None
        self._mask: np.ndarray | None = None

    def put(self, rows: slice, mask: Bool[np.ndarray, "rows *space"]) -> None:
        """The mask of some of the examples."""
        lengths = self._lengths
        if self._mask is None and lengths is not None and not (mask[:, 1:] > mask[:, :-1]).any():
            lengths[rows] = mask.sum(1)
        elif self._mask is not None or not mask.all():
            if self._mask is None:
                before = (self._examples, *self._space)
                self._mask = np.ones(before, bool) if lengths is None else mask_of_lengths(lengths, *self._space)
            self._mask[rows] = mask

    def arrays(self) -> dict[str, np.ndarray]:
        """The tensors that a shard stores: none if all codes stand for data."""
        if self._mask is not None:
            return {"mask": self._mask}
        if self._lengths is not None and (self._lengths < self._space[0]).any():
            return {"lengths": self._lengths}
        return {}


class _Given:
    """Labels or actions of one shard."""

    def __init__(self, kind: str, names: tuple[str, ...], examples: int, path: Path) -> None:
        self._kind, self._names, self._examples, self._path = kind, names, examples, path
        self._array: np.ndarray | None = None

    def put(self, rows: slice, values: Tensor | None, expected: tuple[int | None, ...]) -> None:
        """Add the values of some examples. None in ``expected`` is a size that is the same in all batches.

        Raises:
            DataError: if they do not fit the names, the batch, or earlier batches.
        """
        names = len(self._names)
        if (values is not None) != bool(names):
            no = "no " if values is None else ""
            raise DataError(f"{self._path} was given {no}{self._kind}, but the header has {names} names of {self._kind}.")
        if values is None:
            return
        if self._array is not None:
            expected = (expected[0], *self._array.shape[1:])
        fits = values.ndim == len(expected) and all(size in (None, there) for size, there in zip(expected, values.shape, strict=True))
        if not fits or values.is_floating_point() or (values.numel() and not 0 <= int(values.min()) <= int(values.max()) < names):
            raise DataError(
                f"{self._path} was given {self._kind} that do not fit: {values.dtype} of the shape {tuple(values.shape)}; "
                f"expected integers in [0, {names}) of the shape {expected}."
            )
        array = np.empty((self._examples, *values.shape[1:]), smallest_type(names)) if self._array is None else self._array
        array[rows] = values.cpu().numpy()
        self._array = array

    def arrays(self) -> dict[str, np.ndarray]:
        """The tensors that a shard stores."""
        return {} if self._array is None else {self._kind: self._array}


def _expect(header: CodesHeader, found: CodesHeader, folder: Path) -> None:
    changes = configuration.differences(configuration.to_json(found), configuration.to_json(header), "codes")
    if changes:
        raise DataError(f"{folder} holds other codes ({'; '.join(changes)}). Remove it, or allow overwriting.")


def _content(arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
