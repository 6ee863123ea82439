"""A training step of a WaveNet, compared with the same network of plain float32 convolutions.

    python benchmarks/wavenet_training.py [--rounds 7] [--batch-size 1] [--time 4096] [--out docs/results]

The plain network is a direct implementation of the paper: for each layer, a dilated ``Conv1d`` over a padded (batch, channels, time), tanh
times sigmoid, and two 1×1 convolutions. Ours is ``WaveNet`` in the dtype that the trainer picks. Both get the same values, and a bias for
every 16 samples. Their forward and backward passes take turns in one process. The unavoidable matrix products of these passes take a turn,
too: in float32 they are the floor of this machine.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from turns import take_turns

from vqvae.layers.wavenet import WaveNet
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.training.machine import keep_freed_memory, pick_dtype

LEVELS, BLOCK, RESIDUAL, SKIP, LAYERS = 256, 16, 64, 128, 30
BAR = 2.0


class Plain(nn.Module):
    """The same network, written by hand."""

    def __init__(self, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(LEVELS, RESIDUAL)
        self.gates = nn.ModuleList(nn.Conv1d(RESIDUAL, 2 * RESIDUAL, 2, dilation=dilation) for dilation in dilations)
        self.residual = nn.ModuleList(nn.Conv1d(RESIDUAL, RESIDUAL, 1) for _ in dilations[1:])
        self.skip = nn.ModuleList(nn.Conv1d(RESIDUAL, SKIP, 1) for _ in dilations)
        self.output = nn.Sequential(nn.ReLU(), nn.Conv1d(SKIP, SKIP, 1), nn.ReLU(), nn.Conv1d(SKIP, LEVELS, 1))
        self.dilations = dilations

    def forward(self, values: Tensor, bias: Tensor) -> Tensor:
        x = F.pad(self.embedding(values).transpose(1, 2), (1, -1))
        total = torch.zeros(())
        for i, (dilation, gates, skip) in enumerate(zip(self.dilations, self.gates, self.skip, strict=True)):
            product = gates(F.pad(x, (dilation, 0))) + bias[:, :, i].transpose(1, 2).repeat_interleave(BLOCK, 2)
            signal, opening = product.chunk(2, 1)
            opened = signal.tanh() * opening.sigmoid()
            total = total + skip(opened)
            if i < len(self.residual):
                x = x + self.residual[i](opened)
        return self.output(total).transpose(1, 2)


def products(samples: int) -> Callable[[], None]:
    """The products of a step, without anything between them: for each matrix, one forward and two of the same size backward."""
    shapes = [(2 * RESIDUAL, 2 * RESIDUAL)] * LAYERS + [(RESIDUAL, RESIDUAL)] * (LAYERS - 1)
    shapes += [(LAYERS * RESIDUAL, SKIP), (SKIP, SKIP), (SKIP, LEVELS)]
    each = [(torch.randn(samples, a), torch.randn(samples, b), torch.randn(a, b)) for a, b in shapes]
    results = [tuple(torch.empty_like(x) for x in parts) for parts in each]

    def multiply() -> None:
        for (x, y, w), (dx, out, dw) in zip(each, results, strict=True):
            torch.mm(x, w, out=out)
            torch.mm(y, w.t(), out=dx)
            torch.mm(x.t(), y, out=dw)

    return multiply


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="timed steps of each")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--time", type=int, default=4096, help="samples of each example, a multiple of 16")
    parser.add_argument("--out", type=Path, help="folder for wavenet-training.md and .json, such as docs/results")
    arguments = parser.parse_args()

    began = time.perf_counter()
    torch.manual_seed(0)
    keep_freed_memory()
    batch, samples = arguments.batch_size, arguments.batch_size * arguments.time
    ours = WaveNet(codebook_size=LEVELS, layers=LAYERS, residual=RESIDUAL, skip=SKIP)
    plain = Plain(ours.dilations)
    values = torch.randint(LEVELS, (batch, arguments.time))
    bias = torch.randn(batch, arguments.time // BLOCK, *ours.pairs_bias.shape, requires_grad=True)
    dtype = pick_dtype("auto", torch.device("cpu"))

    def step(model: nn.Module, dtype: torch.dtype) -> None:
        for parameter in (bias, *model.parameters()):
            parameter.grad = None
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            logits = model(values, bias)
        F.cross_entropy(logits.flatten(0, 1).float(), values.flatten()).backward()

    turns = {
        "plain": lambda: step(plain, torch.float32),
        "float32": lambda: step(ours, torch.float32),
        "ours": lambda: step(ours, dtype),
        "floor": products(samples),
    }
    for turn in turns.values():
        turn()
    turned = take_turns(turns, arguments.rounds)
    seconds, name = turned.seconds, str(dtype).removeprefix("torch.")
    names = {
        "plain": "plain convolutions, float32",
        "float32": "WaveNet, float32",
        "ours": f"WaveNet, {name}",
        "floor": "its products alone, float32",
    }
    columns = ["", "seconds a step", "samples/s", "speed"]
    rows = [
        [names[key], f"{seconds[key]:.3f}", f"{samples / seconds[key]:.0f}", f"{seconds['plain'] / seconds[key]:.2f}×"] for key in turns
    ]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "wavenet-training",
        title="Training step of a WaveNet",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={
            "ratio": seconds["plain"] / seconds["ours"],
            "ratio_float32": seconds["plain"] / seconds["float32"],
            **{f"{key}_seconds": value for key, value in seconds.items()},
            "dtype": name,
            "samples": samples,
            "others_cores": turned.others,
        },
        seconds=time.perf_counter() - began,
        notes=NOTES.format(
            batch=batch, time=arguments.time, rounds=arguments.rounds, others=turned.others, bar=BAR, threads=torch.get_num_threads()
        ),
    )
    print(json.dumps(record))


NOTES = """
{batch} × {time} samples of 256 levels; 30 layers of 64 channels; 128 skip channels; a bias of the gates for every 16 samples, which
also gets a gradient; {threads} threads. Medians of {rounds} rounds, taken in turns, in which other processes used at most {others:.2f}
cores. The times do not include the optimizer. The bar is {bar}×.
"""


if __name__ == "__main__":
    main()
