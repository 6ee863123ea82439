"""Read the codes of a whole data set from memory-mapped shards, as priors do many times; see ``shard_format``."""

import functools
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Int

from vqvae.data.base import Batch, Condition, Dataset
from vqvae.data.shard_format import CodesHeader, mask_of_lengths, open_shard, read_manifest, shard_path, tensor_name
from vqvae.errors import DataError
from vqvae.signals import AXES, Signal

_MOST_OPEN = 256
"""Number of shards that a data set keeps mapped. Each is an open file, and a process may often open only 1,024."""


class CodesDataset(Dataset):
    """One level of the codes in a folder that ``CodesWriter`` finished. Files are mapped into memory; a batch reads only what it needs.

    A batch has ``x``, int64 (batch, codebooks, *space); ``condition.label``, int64 (batch,), and ``condition.actions``, int64 (batch,
    time), if there are any; ``condition.codes``, the levels before this one; and ``mask`` (batch, *space), if any shard has one. Threads
    may share a data set.
    """

    def __init__(self, folder: Path, *, source: str | None = None, level: int = 0, verify: bool = True) -> None:
        """Check every shard.

        Args:
            folder: the folder of the codes.
            source: the expected source of the codes; not checked if omitted.
            level: the level whose codes are the data. Codes of the levels before it are the condition.
            verify: whether to read every file once to check its sha256. Otherwise only its header and size are checked.

        Raises:
            DataError: if there is no manifest, the source differs, there is no such level, or a shard is missing or was replaced.
        """
        manifest = read_manifest(folder)
        self.header = manifest.header
        """The header of the codes."""
        if source is not None and source != self.header.source:
            raise DataError(
                f"{folder} has codes of {self.header.source!r}; expected codes of {source!r}. Remove it; the codes are then made again."
            )
        if not 0 <= level < len(self.header.levels):
            raise DataError(f"{folder} has no codes of level {level}; choose one from 0 to {len(self.header.levels) - 1}.")
        self._folder, self._level = folder, level
        stamps: list[tuple[int, int, int]] = []
        self._has_mask, self._times = False, 0
        for number, sha256 in enumerate(manifest.sha256):
            opened = open_shard(folder, self.header, number, sha256 if verify else None)
            stamps.append(opened.stamp)
            self._has_mask |= any(tensor_name(kind, level) in opened.tensors for kind in ("lengths", "mask"))
            times = opened.tensors["actions"].shape[1] if self.header.action_names else 0
            if number and times != self._times:
                raise DataError(f"{shard_path(folder, number)} has {times} actions an example, and the shards before it {self._times}.")
            self._times = times
        self._open = functools.lru_cache(_MOST_OPEN)(functools.partial(_opened, folder, self.header, stamps))
        self.name = f"codes-{manifest.digest}" + (f"-{level}" if level else "")
        self.label_names, self.action_names = self.header.label_names, self.header.action_names
        own = self.header.levels[level]
        axes = AXES.get(len(own.space), tuple(f"axis {number}" for number in range(len(own.space))))
        # A signal has at least two levels, even if a codebook has only one code.
        self.signal = Signal(axes=axes, channels=own.num_codebooks, levels=max(own.codebook_size, 2))

    def __len__(self) -> int:
        return self.header.count

    def batch(self, indices: np.ndarray) -> Batch:
        count, levels = len(indices), self.header.levels[: self._level + 1]
        if count and not 0 <= indices.min() <= indices.max() < len(self):
            raise IndexError(f"{self._folder} has the examples 0 to {len(self) - 1}; {indices.min()} to {indices.max()} were requested.")
        found = {
            tensor_name("codes", number): np.empty((count, level.num_codebooks, *level.space), np.int64)
            for number, level in enumerate(levels)
        }
        if self.label_names:
            found["labels"] = np.empty(count, np.int64)
        if self.action_names:
            found["actions"] = np.empty((count, self._times), np.int64)
        mask = np.ones((count, *levels[-1].space), bool) if self._has_mask else None
        shards = indices // self.header.shard_size
        for shard in np.unique(shards):
            tensors = self._open(int(shard))
            here = np.flatnonzero(shards == shard)
            rows = indices[here] - shard * self.header.shard_size
            for name, array in found.items():
                array[here] = tensors[name].take(rows, axis=0)
            if mask is not None:
                mask[here] = _mask_of(tensors, self._level, rows, mask.shape[1:])
        *above, codes = (torch.from_numpy(found[tensor_name("codes", number)]) for number in range(len(levels)))
        label, actions = (torch.from_numpy(found[name]) if name in found else None for name in ("labels", "actions"))
        return Batch(codes, Condition(label, actions, tuple(above)), None if mask is None else torch.from_numpy(mask))


def _opened(folder: Path, header: CodesHeader, stamps: list[tuple[int, int, int]], number: int) -> dict[str, np.ndarray]:
    """The tensors of a shard that has been checked."""
    found = open_shard(folder, header, number)
    if found.stamp != stamps[number]:
        raise DataError(f"{shard_path(folder, number)} has changed since the codes were opened. Open them again.")
    return found.tensors


def _mask_of(
    tensors: dict[str, np.ndarray], level: int, rows: Int[np.ndarray, " rows"], space: tuple[int, ...]
) -> Bool[np.ndarray, "*rows_and_space"] | bool:
    """The mask of some rows of a shard; all True if it has none."""
    mask, lengths = (tensors.get(tensor_name(kind, level)) for kind in ("mask", "lengths"))
    if mask is not None:
        return mask.take(rows, axis=0)
    return True if lengths is None else mask_of_lengths(lengths.take(rows), space[0])
