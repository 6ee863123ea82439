"""Run a function in several gloo processes on this machine."""

import os
import socket
import traceback
from collections.abc import Callable
from pathlib import Path

import torch
import torch.multiprocessing as mp

from vqvae import distributed


def run(function: Callable[[], object], folder: Path, world_size: int = 2, timeout: float = 60) -> list:
    """Call ``function()`` in every process and return its results (tensors, or dicts of tensors) in rank order.

    Fails, instead of hanging, when a process has not ended after ``timeout`` seconds.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = mp.get_context("spawn")
    processes = [context.Process(target=_enter, args=(function, rank, world_size, port, str(folder))) for rank in range(world_size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout)
    alive = [process for process in processes if process.is_alive()]
    for process in alive:
        process.kill()
        process.join()
    errors = [path.read_text() for path in sorted(folder.glob("error-*"))]
    assert not errors, "\n".join(errors)
    assert not alive, f"{len(alive)} of {world_size} processes still ran after {timeout} s"
    return [torch.load(folder / f"result-{rank}", weights_only=True) for rank in range(world_size)]


def _enter(function: Callable[[], object], rank: int, world_size: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world_size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    try:
        with distributed.group(torch.device("cpu")):
            torch.save(function(), Path(folder) / f"result-{rank}")
    except BaseException:
        (Path(folder) / f"error-{rank}").write_text(traceback.format_exc())
        raise
