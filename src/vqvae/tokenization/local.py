"""The engine for one machine: worker processes that each load the model once."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import torch

from vqvae.errors import VqvaeError
from vqvae.pipeline import Pipeline
from vqvae.tokenization.worker import Job, Worker, single_threaded

_worker: Worker | None = None
"""The worker of this process."""


def run_local(job: Job, shards: Sequence[int], workers: int, model: Pipeline) -> Generator[int, None, None]:
    """Write shards, and yield the number of each when it is done, in any order.

    Args:
        job: the work.
        shards: the shards to write.
        workers: number of processes. One is this process itself.
        model: the model, for this process.

    Raises:
        VqvaeError: if a worker fails or ends.
    """
    workers = min(workers, len(shards))
    if workers <= 1:
        threads = torch.get_num_threads()
        single_threaded()
        try:
            worker = Worker(job, model)
            yield from map(worker.write, shards)
        finally:
            torch.set_num_threads(threads)
        return
    # A forked process would share the locks of torch's threads.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(job,))
    try:
        for done in as_completed([pool.submit(_write, shard) for shard in shards]):
            yield done.result()
    except BrokenProcessPool as error:
        raise VqvaeError(
            "A worker process ended before its work was done; perhaps the memory is full. Run the same command again with fewer --workers. "
            'A Python program calls vqvae.tokenize below: if __name__ == "__main__":'
        ) from error
    except BaseException:
        # An interruption or an error: half a shard is of no use.
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(job: Job) -> None:
    """Prepare a worker process."""
    global _worker
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides.
    single_threaded()
    _worker = Worker(job)


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    """End this process when its parent ends, even by SIGKILL: nobody would stop it."""
    parent.join()
    os._exit(1)


def _write(shard: int) -> int:
    assert _worker is not None, "set by _begin"
    return _worker.write(shard)
