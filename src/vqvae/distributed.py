"""Several processes as one: every function is a no-op in a single process. The only importer of torch.distributed."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn

_alone = False


def is_active() -> bool:
    """Whether this process belongs to a group of more than one."""
    return not _alone and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """The rank of this process, from 0."""
    return dist.get_rank() if is_active() else 0


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if is_active() else 1


def started() -> int:
    """The number of processes that torchrun started, joined or not; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process writes files and messages."""
    return rank() == 0


@contextmanager
def group(device: torch.device) -> Iterator[None]:
    """Join the group that torchrun describes in the environment, and leave it at the end. Otherwise do nothing."""
    if started() == 1 or (dist.is_available() and dist.is_initialized()):
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def alone() -> Iterator[None]:
    """Let this process work as if it were the only one, while the others wait."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def sum_(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, in place."""
    if is_active():
        dist.all_reduce(tensor)
    return tensor


def mean_(tensor: Tensor) -> Tensor:
    """Average a floating-point tensor over all processes, in place."""
    return sum_(tensor).div_(world_size()) if is_active() else tensor


def broadcast(tensor: Tensor, source: int = 0) -> Tensor:
    """Give every process the values of process ``source``, in place."""
    if is_active():
        dist.broadcast(tensor, source)
    return tensor


def broadcast_module(module: nn.Module, source: int = 0) -> None:
    """Give every process the parameters and buffers of process ``source``."""
    if is_active():
        for tensor in module.state_dict().values():
            # A copy in plain layout, because layouts may differ. As bytes, because not every backend sends booleans.
            plain = tensor.detach().clone(memory_format=torch.contiguous_format)
            dist.broadcast(plain.view(torch.uint8) if plain.dtype == torch.bool else plain, source)
            tensor.copy_(plain)


def barrier() -> None:
    """Wait until every process arrives."""
    if is_active():
        dist.barrier()


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows (rows, dim) of all processes in rank order; numbers of rows may differ or be 0."""
    if not is_active():
        return rows
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([rows.shape[0]], device=rows.device))
    longest = max(int(count) for count in counts)
    padded = rows.new_zeros(longest, *rows.shape[1:])
    padded[: rows.shape[0]] = rows
    gathered = [torch.empty_like(padded) for _ in range(world_size())]
    dist.all_gather(gathered, padded)
    return torch.cat([part[: int(count)] for part, count in zip(gathered, counts, strict=True)])


def data_parallel(module: nn.Module) -> nn.Module:
    """Wrap a module so that its gradients are averaged over all processes. With one process, return the module.

    Buffers are not broadcast: the quantizers sum their statistics in every step, so the ranks cannot drift apart.
    """
    if not is_active():
        return module
    return nn.parallel.DistributedDataParallel(module, broadcast_buffers=False)


def no_sync(module: nn.Module) -> AbstractContextManager[None]:
    """Let gradients of a module from ``data_parallel`` add up in each process. The next backward pass outside averages them."""
    return module.no_sync() if isinstance(module, nn.parallel.DistributedDataParallel) else nullcontext()
