"""The engine for a cluster: Ray Data with a pool of actors that hold the model. The only importer of Ray, which is optional."""

import logging
import os
from collections.abc import Generator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from vqvae.errors import MissingExtraError, VqvaeError
from vqvae.tokenization.worker import Job, Worker, single_threaded

_STORE = 2**27
"""Bytes of the object store on one machine. Only numbers of shards pass through it."""
_SHARD = "item"
"""The column of the numbers of the shards."""


def run_ray(job: Job, shards: Sequence[int], workers: int) -> Generator[int, None, None]:
    """Write shards, and yield the number of each when it is done, in any order.

    Uses the cluster that ``RAY_ADDRESS`` names, or else this machine. On a cluster, all machines need the run, the data and the output
    folder under the same paths.

    Args:
        job: the work.
        shards: the shards to write.
        workers: number of actors.

    Raises:
        MissingExtraError: if Ray is not installed.
        VqvaeError: if an actor fails.
    """
    ray = _ray()
    workers = min(workers, len(shards))
    is_ours = not ray.is_initialized()
    if is_ours:
        _begin(ray, workers)
    try:
        gpus = 1 if job.device.startswith("cuda") else 0
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        # One block per shard: an actor that is done takes the next one.
        blocks = ray.data.from_items(list(shards), override_num_blocks=len(shards))
        done = blocks.map_batches(
            *(_Actor,),
            fn_constructor_args=(job,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
            num_gpus=gpus,
        )
        for row in done.iter_rows():
            yield int(row[_SHARD])
    except ray.exceptions.RayError as error:
        cause = _cause(error)
        if cause is not None:
            raise cause from error
        raise VqvaeError(f"Ray stopped ({str(error).strip().splitlines()[-1]}). Run the same command again to continue.") from error
    finally:
        if is_ours:
            ray.shutdown()


class _Actor:
    """A worker in an actor."""

    def __init__(self, job: Job) -> None:
        single_threaded()
        self._worker = Worker(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {_SHARD: np.array([self._worker.write(int(shard)) for shard in batch[_SHARD]])}


def _begin(ray: ModuleType, workers: int) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        ray.init(num_cpus=workers, include_dashboard=False, object_store_memory=_STORE, **quiet)


def _cause(error: BaseException | None) -> VqvaeError | None:
    """The error of ours that an error of Ray wraps."""
    while error is not None:
        if isinstance(error, VqvaeError):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None


def _ray() -> ModuleType:
    # Nothing is sent to Ray's makers, and its own messages stay in its log files.
    for name, value in (("RAY_USAGE_STATS_ENABLED", "0"), ("RAY_BACKEND_LOG_LEVEL", "fatal")):
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError("ray[data]", "cluster") from error
    for logger in ("ray.data", "ray"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    return ray
