"""A training step of the paper's CIFAR-10 network, compared with a plain float32 PyTorch loop of the same network.

    python benchmarks/training_step.py [--rounds 15] [--no-compile] [--out docs/results]

Ours is the real trainer with its loader: bfloat16 and channels_last if the machine gains from them. The plain loop is a direct
implementation of the paper: the same layers, the same exponential moving averages, Adam, float32. The two take turns, step by step, in
one process, and medians are compared. Large matrix products take turns with them to measure the speed of the machine. A second run of
the trainer alone measures the wait for data, and a third comparison the gain of torch.compile.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from turns import others_seconds

from vqvae.data.base import Batch, Dataset, Splits
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.reports.results import hardware, markdown_table, this_command, write_results
from vqvae.training import RunOptions, TrainConfig, Trainer, build
from vqvae.training.machine import pick_dtype

CODES, DIM, BLOCKS, WARM_UP = 512, 64, 2, 3
PRODUCT = 2048
"""Rows, columns and terms of the matrix products."""
TRIED = 2
"""Rounds per round that counts. The quietest rounds count: those in which other processes use the processor least."""
BAR, WAITED_BAR = 2.8, 0.02


class Images(Dataset):
    """Random pictures in memory, of CIFAR-10's size."""

    name = "random"

    def __init__(self, count: int, seed: int) -> None:
        self.x = torch.randint(0, 256, (count, 3, 32, 32), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(self.x[torch.from_numpy(indices)])


class Residual(nn.Module):
    """ReLU, 3×3, ReLU, 1×1, added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Plain(nn.Module):
    """The same network, written by hand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(3, width, 4, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 4, 2, 1), nn.ReLU()),
            *(Residual(width) for _ in range(BLOCKS)),
            *(nn.ReLU(), nn.Conv2d(width, DIM, 1)),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(DIM, width, 3, padding=1),
            *(Residual(width) for _ in range(BLOCKS)),
            *(nn.ReLU(), nn.ConvTranspose2d(width, width, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width, 3, 4, 2, 1)),
        )
        self.register_buffer("codebook", torch.randn(CODES, DIM))
        self.register_buffer("counts", torch.ones(CODES))
        self.register_buffer("sums", self.codebook.clone())

    def forward(self, x: Tensor) -> Tensor:
        z = self.encoder(x)
        flat = z.permute(0, 2, 3, 1).reshape(-1, DIM)
        distances = flat.square().sum(1, keepdim=True) - 2 * flat @ self.codebook.t() + self.codebook.square().sum(1)
        codes = distances.argmin(1)
        q = self.codebook[codes].view(z.shape[0], z.shape[2], z.shape[3], DIM).permute(0, 3, 1, 2)
        with torch.no_grad():
            self.counts.mul_(0.99).add_(torch.bincount(codes, minlength=CODES), alpha=0.01)
            self.sums.mul_(0.99).add_(torch.zeros_like(self.sums).index_add_(0, codes, flat.detach()), alpha=0.01)
            self.codebook.copy_(self.sums / self.counts[:, None])
        commitment = F.mse_loss(z, q.detach())
        reconstruction = self.decoder(z + (q - z).detach())
        return F.mse_loss(reconstruction, x) + 0.25 * commitment


class Round(NamedTuple):
    """Seconds of one step of each."""

    others: float
    """Number of cores that other processes used meanwhile."""
    ours: float
    plain: float
    products: dict[torch.dtype, float]


class PlainLoop:
    """After each step of the trainer, runs a step of the plain loop and a large product of each type. Times all of them."""

    every = 1

    def __init__(self, width: int, batch_size: int, data: Images) -> None:
        self.model, self.batch_size, self.data = Plain(width), batch_size, data
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=2e-4)
        self.first = 0.0
        self._rounds: list[Round] = []
        self._created = self._left = time.perf_counter()
        self._others = others_seconds()

    def __call__(self, step: int, module: nn.Module, folder: Path) -> dict:
        began = time.perf_counter()
        with torch.enable_grad():
            self.take()
        ended = time.perf_counter()
        products = {dtype: product(dtype) for dtype in (torch.float32, torch.bfloat16)}
        others = (others_seconds() - self._others) / (time.perf_counter() - self._left)
        self._rounds.append(Round(others, began - self._left, ended - began, products))
        if step == 1:
            self.first = began - self._created
        self._others, self._left = others_seconds(), time.perf_counter()
        return {}

    def medians(self, rounds: int) -> "Round":
        """The medians of the quietest rounds after the warm-up."""
        kept = sorted(self._rounds[WARM_UP:], key=lambda found: found.others)[:rounds]
        return Round(
            others=kept[-1].others,
            ours=statistics.median(found.ours for found in kept),
            plain=statistics.median(found.plain for found in kept),
            products={dtype: statistics.median(found.products[dtype] for found in kept) for dtype in kept[0].products},
        )

    def take(self) -> None:
        x = self.data.x[torch.randint(len(self.data), (self.batch_size,))].float() / 127.5 - 1
        loss = self.model(x)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def operations(self) -> int:
        """Floating-point operations of the convolutions and matrix products of one step; a multiplication and its addition are two."""
        with FlopCounterMode(display=False) as counter:
            self.take()
        return counter.get_total_flops()


def product(dtype: torch.dtype) -> float:
    """Seconds of one large product."""
    a = torch.ones(PRODUCT, PRODUCT, dtype=dtype)
    began = time.perf_counter()
    torch.mm(a, a)
    return time.perf_counter() - began


def settings(width: int, batch_size: int, steps: int) -> TrainConfig:
    """E1's network as ours."""
    model = VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=DIM, codebook_size=CODES, start_from_data=False),
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(widths=(width, width), residual_blocks=BLOCKS, residual_hidden=width),
        decoder=ImageDecoderConfig(widths=(width, width), residual_blocks=BLOCKS, residual_hidden=width),
    )
    return TrainConfig(model=model, steps=steps, batch_size=batch_size, evaluate_every=0)


def compare(width: int, batch_size: int, rounds: int, data: Images, *, compiled: bool = False) -> PlainLoop:
    """Steps of both in turn."""
    loop = PlainLoop(width, batch_size, data)
    config = dataclasses.replace(settings(width, batch_size, TRIED * rounds + WARM_UP), compile=compiled)
    module = build(config)
    # Ours also has the scale of its likelihood, one number per channel.
    sizes = [sum(p.numel() for part in (which.encoder, which.decoder) for p in part.parameters()) for which in (module, loop.model)]
    assert sizes[0] == sizes[1], f"the two networks differ: {sizes[0]} and {sizes[1]} parameters"
    with tempfile.TemporaryDirectory() as folder:
        Trainer(
            module, Splits(data, Images(0, 1)), config, RunOptions(checkpoint_every=0, device="cpu"), Path(folder), callbacks=[loop]
        ).run()
    return loop


def waited(width: int, batch_size: int, steps: int, data: Images) -> float:
    """The share of the trainer's time, after its first steps, in which it waits for data."""
    config = settings(width, batch_size, steps + WARM_UP)
    with tempfile.TemporaryDirectory() as folder:
        options = RunOptions(checkpoint_every=0, log_every=1, device="cpu")
        Trainer(build(config), Splits(data, Images(0, 1)), config, options, Path(folder)).run()
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    return statistics.mean(row["waited_share"] for row in rows if "waited_share" in row and row["step"] > WARM_UP)


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="timed steps of each")
    parser.add_argument("--width", type=int, default=256, help="channels everywhere")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--no-compile", action="store_true", help="omit torch.compile, which needs a C++ compiler")
    parser.add_argument("--out", type=Path, help="folder for training-step.md and training-step.json, such as docs/results")
    arguments = parser.parse_args()
    width, batch_size, rounds = arguments.width, arguments.batch_size, arguments.rounds

    began = time.perf_counter()
    data = Images(4096, 0)
    loop = compare(width, batch_size, rounds, data)
    share = waited(width, batch_size, rounds, data)
    compiled = None if arguments.no_compile else compare(width, batch_size, rounds, data, compiled=True)
    found = loop.medians(rounds)
    ours, plain = found.ours, found.plain
    operations = loop.operations()
    speeds = {dtype: 2 * PRODUCT**3 / seconds for dtype, seconds in found.products.items()}
    floors = {dtype: operations / speed for dtype, speed in speeds.items()}
    dtype = pick_dtype("auto", torch.device("cpu"))
    name = str(dtype).removeprefix("torch.")

    columns = ["", "seconds a step", "images/s", "speed", "time / floor of its type"]
    rows = [
        ["plain PyTorch loop, float32", *cells(plain, batch_size, 1.0, plain / floors[torch.float32])],
        [f"vqvae, {name}", *cells(ours, batch_size, plain / ours, ours / floors[dtype])],
    ]
    values = {
        "ratio": plain / ours,
        "waited_share": share,
        "ours_seconds": ours,
        "plain_seconds": plain,
        "dtype": name,
        "others_cores": found.others,
        "width": width,
        "batch_size": batch_size,
        "operations": operations,
        **{f"product_{str(kind).removeprefix('torch.')}_operations_per_second": speed for kind, speed in speeds.items()},
        **{f"floor_{str(kind).removeprefix('torch.')}_seconds": floor for kind, floor in floors.items()},
    }
    if compiled is not None:
        fast = compiled.medians(rounds)
        rows.append([f"vqvae, {name}, compile=True", *cells(fast.ours, batch_size, fast.plain / fast.ours, fast.ours / floors[dtype])])
        values |= {"compiled_ratio": fast.plain / fast.ours, "compiled_seconds": fast.ours, "compiled_first_step_seconds": compiled.first}
    print(markdown_table(columns, rows))
    features = hardware()["features"]
    record = write_results(
        arguments.out,
        "training-step",
        title="Training step of the paper's CIFAR-10 network",
        command=this_command(),
        columns=columns,
        rows=rows,
        values=values,
        steps=rounds,
        seconds=time.perf_counter() - began,
        notes=NOTES.format(
            width=width,
            batch_size=batch_size,
            rounds=rounds,
            tried=TRIED * rounds,
            others=found.others,
            share=share,
            operations=operations / 1e9,
            float32=speeds[torch.float32] / 1e9,
            bfloat16=speeds[torch.bfloat16] / 1e9,
            gain=speeds[torch.bfloat16] / speeds[torch.float32],
            bar=BAR,
            has="has" if "AMX-BF16" in features else "does not have",
            waited_bar=WAITED_BAR,
        ),
    )
    print(json.dumps(record))


def cells(seconds: float, batch_size: int, ratio: float, over_floor: float) -> list[str]:
    """One line's numbers."""
    return [f"{seconds:.3f}", f"{batch_size / seconds:.1f}", f"{ratio:.2f}×", f"{over_floor:.2f}"]


NOTES = """
{width} units, batches of {batch_size} images of 32 × 32 pixels, K = 512, D = 64. Medians of {rounds} steps, taken in turns: the
quietest of {tried}, in which other processes used at most {others:.2f} cores. When it runs alone, the trainer waits for data {share:.2%}
of the time (bar: {waited_bar:.0%}).

The convolutions and products of a step are {operations:.0f} GFLOP. Products of 2048³, timed in the same turns, ran at {float32:.0f}
GFLOP/s in float32 and {bfloat16:.0f} GFLOP/s in bfloat16 ({gain:.2f} times as fast). The floor of a step is its operations at this speed.
The bar of {bar}× is for a processor with AMX, which multiplies bfloat16 six to seven times as fast as float32. This processor {has} AMX.
"""


if __name__ == "__main__":
    main()
