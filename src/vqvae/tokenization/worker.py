"""The work of one process: it loads the model once and writes shards."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vqvae.codec.fingerprint import fingerprint
from vqvae.config import Parts
from vqvae.data.records.base import BadRecord, Record, Records
from vqvae.disk import atomic
from vqvae.errors import CheckpointError, DataError, VqvaeError, is_out_of_memory
from vqvae.pipeline import Pipeline, load
from vqvae.tokenization.formats import FORMATS
from vqvae.tokenization.items import Items
from vqvae.tokenization.plan import Plan
from vqvae.tokenization.rows import Row, code_types

_BATCHES, _MOST = 8, 2**22
"""Batches and values that are encoded at once."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every worker needs. It can be pickled."""

    run: Path
    """The run folder."""
    records: Records
    """The source."""
    plan: Plan
    """The plan."""
    out: Path
    """The folder of the shards."""
    device: str = "cpu"
    """Where to compute."""
    checkpoint: str | None = None
    """A checkpoint of the tokenizer in place of the finished one."""
    parts: Parts = ()
    """The caller's own configurations in the run."""


class Read(NamedTuple):
    """An item that could be read."""

    number: int
    record: Record
    x: Tensor
    """(1, channels, *axes)."""


class Worker:
    """Writes shards, one after the other."""

    def __init__(self, job: Job, model: Pipeline | None = None) -> None:
        """Load the model.

        Raises:
            CheckpointError: if the run has another tokenizer than the plan.
        """
        self._job, self._plan = job, job.plan
        self._model = model or load(job.run, job.device, job.parts, checkpoint=job.checkpoint)
        found = fingerprint(self._model.tokenizer).hex()
        if found != job.plan.tokenizer:
            raise CheckpointError(f"{job.run} changed while it was in use: its tokenizer is another one now. Start again.")

    def write(self, shard: int) -> int:
        """Write a shard, whole or not at all. Returns its number.

        Raises:
            DataError: if it cannot be written.
        """
        path = self._job.out / self._plan.file(shard)
        with atomic(path, DataError, "Free some space, then run the same command again.") as partial:
            FORMATS[self._plan.format].write(partial, self._rows(shard), self._plan, shard)
        return shard

    def _rows(self, shard: int) -> Iterator[Row | BadRecord]:
        """The rows of a shard, in order. Several are encoded at once, which changes no code."""
        waiting: list[Read] = []
        values, at_once = 0, _BATCHES * self._model.batch_size
        for read in self._read(shard):
            if isinstance(read, BadRecord) or len(waiting) == at_once or values >= _MOST:
                yield from self._encoded(waiting)
                waiting, values = [], 0
            if isinstance(read, BadRecord):
                yield read
            else:
                waiting.append(read)
                values += read.x.numel()
        yield from self._encoded(waiting)

    def _read(self, shard: int) -> Iterator[Read | BadRecord]:
        numbers = self._plan.items_of(shard)
        records = self._job.records.read(numbers.start, numbers.stop)
        with closing(Items(self._model.signal, self._plan.reading)) as items:
            for number, record in zip(numbers, records, strict=True):
                if isinstance(record, BadRecord):
                    yield BadRecord(_plain(record.id), _plain(record.error))
                    continue
                record = record._replace(id=_plain(record.id))
                try:
                    yield Read(number, record, self._model.signal.check(items.read(record)))
                except (VqvaeError, MemoryError, RuntimeError) as error:
                    yield _bad(record, error)

    def _encoded(self, several: list[Read]) -> Iterator[Row | BadRecord]:
        """The rows of several examples. If they cannot be encoded together, each is tried alone."""
        try:
            found = self._model.encode_each([one.x for one in several])
        except (VqvaeError, MemoryError, RuntimeError) as error:
            bad = _bad(several[0].record, error)
            if len(several) == 1:
                yield bad
            else:
                for one in several:
                    yield from self._encoded([one])
            return
        for one, levels in zip(several, found, strict=True):
            codes = tuple(level[0].numpy().astype(kind) for level, kind in zip(levels, code_types(self._plan), strict=True))
            yield Row(one.number, one.record.id, codes, tuple(one.x.shape[2:]), one.record.label, one.record.actions)


def _bad(record: Record, error: Exception) -> BadRecord:
    """An item that cannot be read or encoded. Any error that is not about the item is raised again."""
    if isinstance(error, VqvaeError):
        return BadRecord(record.id, _plain(str(error)))
    if not is_out_of_memory(error):
        raise error
    return BadRecord(record.id, "It takes more memory than there is.")


def _plain(text: str) -> str:
    """Text that every format can store: names of files may not be Unicode."""
    return text.encode("utf-8", "replace").decode()


def single_threaded() -> None:
    """Let this process compute with one thread: processes share the cores."""
    torch.set_num_threads(1)
