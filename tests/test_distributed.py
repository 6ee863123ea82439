"""Several processes as one."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from tests import processes
from vqvae import distributed


def together() -> dict[str, Tensor]:
    """Everything that two processes say to each other, in one start."""
    rank = distributed.rank()
    assert distributed.is_active() and distributed.world_size() == 2 and distributed.is_main() == (rank == 0)
    here = torch.tensor([1.0, 2.0]) * (rank + 1)
    out = {
        "sum": distributed.sum_(here.clone()),
        "mean": distributed.mean_(here.clone()),
        "broadcast": distributed.broadcast(here.clone(), 1),
        "rows": distributed.gather_rows(torch.full((2 * rank, 3), float(rank))),
        "none": distributed.gather_rows(torch.zeros(0, 3)),
    }
    with distributed.alone():
        assert distributed.world_size() == 1 and distributed.is_main() and not distributed.is_active()
        out["alone"] = distributed.sum_(here.clone())
    with distributed.group(torch.device("cpu")):  # Inside another group: nothing happens, also at its end.
        pass
    distributed.barrier()

    torch.manual_seed(rank)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to(memory_format=torch.channels_last)
    if rank == 1:
        module.to(memory_format=torch.contiguous_format)
    module[1].num_batches_tracked.fill_(rank)
    module.register_buffer("flag", torch.tensor(rank == 0))
    distributed.broadcast_module(module)
    out |= {f"module.{name}": value.contiguous() for name, value in module.state_dict().items()}

    linear = nn.Linear(2, 1, bias=False)
    nn.init.ones_(linear.weight)
    parallel = distributed.data_parallel(linear)
    with distributed.no_sync(parallel):
        parallel(here[None]).sum().backward()
    out["local"] = linear.weight.grad.clone()
    parallel(here[None]).sum().backward()
    out["averaged"] = linear.weight.grad.clone()
    return out


def test_two_processes(tmp_path: Path) -> None:
    first, second = processes.run(together, tmp_path)
    differing = {name for name in first if not torch.equal(first[name], second[name])}
    assert differing == {"alone", "local"}
    assert first["sum"].tolist() == [3, 6] and first["mean"].tolist() == [1.5, 3] and first["broadcast"].tolist() == [2, 4]
    assert first["rows"].tolist() == [[1, 1, 1]] * 2 and first["none"].shape == (0, 3)
    assert second["alone"].tolist() == [2, 4]
    assert first["module.flag"].item() is True and second["module.flag"].item() is True
    assert second["local"].tolist() == [[2, 4]]
    # Each process adds its own [1, 2] · (rank + 1) twice; the sums are averaged.
    assert first["averaged"].tolist() == [[3, 6]]


def test_alone_nothing_happens() -> None:
    x = torch.tensor([1.0, 2.0])
    assert (distributed.rank(), distributed.world_size(), distributed.is_main(), distributed.is_active()) == (0, 1, True, False)
    for result in (distributed.sum_(x), distributed.mean_(x), distributed.broadcast(x), distributed.gather_rows(x)):
        assert result is x and x.tolist() == [1, 2]
    module = nn.Linear(2, 2)
    weight = module.weight.detach().clone()
    assert distributed.data_parallel(module) is module
    with distributed.no_sync(module), distributed.alone(), distributed.group(torch.device("cpu")):
        distributed.broadcast_module(module)
        distributed.barrier()
    assert torch.equal(module.weight, weight)


def test_a_group_of_one_is_no_group() -> None:
    assert os.environ.get("WORLD_SIZE") is None
    with distributed.group(torch.device("cpu")):
        assert not torch.distributed.is_initialized()
