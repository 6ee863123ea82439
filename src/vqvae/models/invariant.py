"""Encode in products of fixed shapes, so that codes depend on nothing but the example.

The order of the sums in a product follows from its shape and from the number of threads, and so do the last bits of a latent. A latent in
the middle between two codes can then get either. Here, examples of one size are encoded in blocks with a fixed number of rows, and each
block by a single thread. The blocks of a call are shared out to as many threads as torch may use.
"""

import math
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

import torch
from torch import Tensor

from vqvae.codes import Codes
from vqvae.data.base import Batch
from vqvae.models.base import Tokenizer

FULL, FULL_SEQUENCE, FULL_GPU = 2**16, 2**15, 2**21
"""Positions in a block: on a CPU, of sequences on a CPU, and on other devices. Fewer cost time for each call; more leave the cache of a
CPU. Recordings seldom have one length, so blocks of them are often filled up."""
MOST, MOST_GPU = 16, 256
"""Rows in a block."""
_ALONE = threading.Lock()
"""Held while torch's number of threads is changed: it belongs to the process."""

Job = TypeVar("Job")
Result = TypeVar("Result")


def encode_rows(model: Tokenizer, rows: Sequence[Tensor]) -> list[Codes]:
    """The codes of each example (channels, *axes), on the CPU, with a batch axis of 1. Examples may have different sizes.

    Raises:
        DataError: if the model does not accept an example.
    """
    device = next(model.parameters()).device
    sizes: dict[tuple[torch.Size, torch.dtype], list[int]] = {}
    for number, row in enumerate(rows):
        sizes.setdefault((row.shape, row.dtype), []).append(number)
    blocks = [
        numbers[first : first + height]
        for (shape, _), numbers in sizes.items()
        for height in [block_rows(tuple(shape[1:]), device)]
        for first in range(0, len(numbers), height)
    ]
    found: list[Codes | None] = [None] * len(rows)
    for numbers, codes in zip(blocks, on_threads(partial(_encode_block, model, rows), blocks, device), strict=True):
        for row, number in enumerate(numbers):
            found[number] = codes.take(slice(row, row + 1))
    return [codes for codes in found if codes is not None]


def block_rows(size: tuple[int, ...], device: torch.device) -> int:
    """Rows in a block of examples of a size: a power of two, and at least 1."""
    on_cpu = FULL_SEQUENCE if len(size) == 1 else FULL
    full, most = (on_cpu, MOST) if device.type == "cpu" else (FULL_GPU, MOST_GPU)
    fitting = full // max(math.prod(size), 1)
    return min(1 << max(fitting.bit_length() - 1, 0), most)


def on_threads(work: Callable[[Job], Result], jobs: Sequence[Job], device: torch.device) -> list[Result]:
    """The results of jobs in their order. On a CPU, each job runs on a single thread, with as many jobs at once as torch has threads."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or not jobs:
        return [work(job) for job in jobs]
    with _ALONE:
        # The number of OpenMP's threads belongs to a thread, and that of MKL to the process.
        torch.set_num_threads(1)
        try:
            # A new thread costs more than the encoding of a small picture.
            return [work(jobs[0])] if len(jobs) == 1 else list(_pool(threads).map(work, jobs))
        finally:
            torch.set_num_threads(threads)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that stay. Each has the number of the process when it starts, which is 1 then."""
    return ThreadPoolExecutor(threads, "encoding", torch.set_num_threads, (1,))


def _after_fork() -> None:
    """A child has neither the threads nor, perhaps, the holder of the lock."""
    global _ALONE
    _ALONE = threading.Lock()
    _pool.cache_clear()


if hasattr(os, "register_at_fork"):  # Not on Windows.
    os.register_at_fork(after_in_child=_after_fork)


def _encode_block(model: Tokenizer, rows: Sequence[Tensor], numbers: Sequence[int]) -> Codes:
    """The codes of some rows of one size. The block is filled up with copies of the last one."""
    first = rows[numbers[0]]
    device = next(model.parameters()).device
    missing = block_rows(tuple(first.shape[1:]), device) - len(numbers)
    block = torch.stack([rows[number] for number in (*numbers, *[numbers[-1]] * missing)]).to(device)
    # Both belong to a thread: a caller's settings do not reach the threads of a pool.
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        return model.encode(Batch(block)).take(slice(0, len(numbers))).to("cpu")
