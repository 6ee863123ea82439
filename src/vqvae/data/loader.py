"""Batches in an order that depends only on the seed, prepared ahead in threads."""

import contextlib
import functools
import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import Int

from vqvae.building import check_memory
from vqvae.config import check_at_least
from vqvae.data.base import Batch, Dataset
from vqvae.errors import ConfigError, DataError
from vqvae.seeding import mix

_USUAL_BATCH = 4096
"""Examples of a batch that is not checked for its size in memory."""


def global_indices(seed: int, step: int, batch_size: int, size: int) -> Int[np.ndarray, " batch_size"]:
    """The indices of the examples of ``step``, over all processes: a pure function of the arguments.

    Every epoch is a permutation of all ``size`` examples. Batches straddle epochs, so no batch is short and none is dropped. A batch
    may be larger than the data set.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, places = positions // size, positions % size
    indices = np.empty(batch_size, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        indices[here] = _permutation(seed, int(epoch), size)[places[here]]
    return indices


class Loader:
    """Iterate over ``(step, batch)``, from ``first_step`` up to, but not including, ``steps``.

    Threads prepare up to ``prefetch`` batches ahead; batches come in order. Threads suit both arrays in memory and image files: numpy's
    ``take`` and Pillow's decoders release the interpreter's lock. An error in the preparation of a batch is raised when the consumer
    reaches that batch. A consumer may stop at any time: the threads end with the iteration.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        seed: int,
        steps: int,
        first_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
        workers: int | None = None,
        prefetch: int = 4,
    ) -> None:
        """Check the sizes. Nothing is read before the iteration.

        Args:
            dataset: the data set to read.
            batch_size: examples per step over all processes. Each process gets a contiguous ``batch_size / world_size`` of them.
            seed: determines the order.
            steps: the step before which the iteration ends, not a number of steps.
            first_step: the first step. A resumed run passes its next step.
            rank: the number of this process.
            world_size: the number of processes.
            workers: the number of threads; default: one per core, up to four.
            prefetch: the number of batches to prepare ahead.

        Raises:
            ConfigError: if the batch cannot be divided evenly, or a number is not positive.
            DataError: if the data set is empty.
        """
        if batch_size < 1 or batch_size % world_size:
            raise ConfigError(f"batch_size is {batch_size}; it must be a positive multiple of the number of processes, {world_size}.")
        check_at_least(1, "", workers=workers, prefetch=prefetch)
        if not len(dataset):
            raise DataError(f"The data set {dataset.name} is empty.")
        self.waited_seconds = 0.0
        """The time that the consumer has waited for batches so far, when the model was idle."""
        self._dataset, self._batch_size, self._seed = dataset, batch_size, seed
        self._steps = range(first_step, steps)
        self._share = slice(rank * batch_size // world_size, (rank + 1) * batch_size // world_size)
        self._workers, self._prefetch = workers, prefetch

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        self._check_memory()
        indices = (global_indices(self._seed, step, self._batch_size, len(self._dataset))[self._share] for step in self._steps)
        with contextlib.closing(_ahead(self._dataset, indices, self._workers, self._prefetch)) as batches:
            for step in self._steps:
                start = time.perf_counter()
                batch = next(batches)
                self.waited_seconds += time.perf_counter() - start
                yield step, batch

    def _check_memory(self) -> None:
        """Raise ConfigError if a batch does not fit into memory. The size of an example is known once one has been read."""
        share = self._share.stop - self._share.start
        if share <= _USUAL_BATCH or not self._steps:
            return
        one = self._dataset.batch(np.zeros(1, dtype=np.int64))
        check_memory(share * (one.x.nbytes + 8), f"A batch of {share:,} examples")


def in_order(dataset: Dataset, batch_size: int, *, start: int = 0, stop: int | None = None, workers: int | None = None) -> Iterator[Batch]:
    """Every example from ``start`` to before ``stop`` once, in order, for scores and tokenization. The last batch may be short."""
    stop = len(dataset) if stop is None else stop
    return _ahead(dataset, (np.arange(first, min(first + batch_size, stop)) for first in range(start, stop, batch_size)), workers, 4)


def spread(dataset: Dataset, count: int, batch_size: int) -> Iterator[Batch]:
    """The examples of ``spread_indices``, in order, for scores that do not need the whole set."""
    indices = spread_indices(dataset, count)
    return _ahead(dataset, (indices[first : first + batch_size] for first in range(0, len(indices), batch_size)), None, 4)


def spread_indices(items: Sized, count: int) -> Int[np.ndarray, " count"]:
    """At most ``count`` equally spaced indices of a data set, or of anything else with a length: int64, in order."""
    count = min(count, len(items))
    return np.arange(count, dtype=np.int64) * len(items) // max(count, 1)


def _ahead(dataset: Dataset, plan: Iterable[np.ndarray], workers: int | None, prefetch: int) -> Generator[Batch]:
    waiting: deque[Future[Batch]] = deque()
    plan = iter(plan)
    pool = ThreadPoolExecutor(workers or min(4, os.cpu_count() or 1), thread_name_prefix="vqvae-loader")
    try:
        while True:
            while len(waiting) < prefetch and (indices := next(plan, None)) is not None:
                waiting.append(pool.submit(dataset.batch, indices))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    # Sorted raw words of a bit generator, not Generator.permutation: numpy promises the same words in every release, but not the
    # same permutation, and a run may be resumed after an update.
    words = np.random.PCG64(mix(seed, "epoch", epoch)).random_raw(size)
    order = np.argsort(words, kind="stable")
    order.flags.writeable = False
    return order
