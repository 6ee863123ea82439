"""A training step of the paper's CIFAR-10 network beside a plain float32 PyTorch loop of the same network.

    python benchmarks/training_step.py [--rounds 15] [--out docs/results]

Ours is the real trainer with its loader: bfloat16 and channels_last where the machine gains from them. The plain loop is what
one would write by hand from the paper: the same layers, the same exponential moving averages, Adam, float32. The two take
turns, step by step, in one process; medians are compared. A second run of the trainer alone tells how long it waits for data.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.data.base import Batch, Dataset, Splits
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.training import RunOptions, TrainConfig, Trainer, build
from vqvae.training.machine import pick_dtype

CODES, DIM, BLOCKS, WARM_UP = 512, 64, 2, 3


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
    """The same network by hand."""

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


class PlainLoop:
    """Takes one step of the plain loop after each step of the trainer, and times both."""

    every = 1

    def __init__(self, width: int, batch_size: int, data: Images) -> None:
        self.model, self.batch_size, self.data = Plain(width), batch_size, data
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=2e-4)
        self.ours: list[float] = []
        self.plain: list[float] = []
        self._left: float | None = None

    def __call__(self, step: int, module: nn.Module, folder: Path) -> dict:
        began = time.perf_counter()
        if self._left is not None:
            self.ours.append(began - self._left)
        with torch.enable_grad():
            self.take()
        self._left = time.perf_counter()
        self.plain.append(self._left - began)
        return {}

    def take(self) -> None:
        x = self.data.x[torch.randint(len(self.data), (self.batch_size,))].float() / 127.5 - 1
        loss = self.model(x)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def settings(width: int, batch_size: int, steps: int) -> TrainConfig:
    """E1's network as ours."""
    model = VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=DIM, codebook_size=CODES, start_from_data=False),
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(widths=(width, width), residual_blocks=BLOCKS, residual_hidden=width),
        decoder=ImageDecoderConfig(widths=(width, width), residual_blocks=BLOCKS, residual_hidden=width),
    )
    return TrainConfig(model=model, steps=steps, batch_size=batch_size, evaluate_every=0)


def compare(width: int, batch_size: int, rounds: int, data: Images) -> PlainLoop:
    """Steps of both in turn."""
    loop, config = PlainLoop(width, batch_size, data), settings(width, batch_size, rounds + WARM_UP)
    module = build(config)
    sizes = [sum(p.numel() for p in which.parameters()) for which in (module, loop.model)]
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


def hardware() -> str:
    """The processor, and what it has for bfloat16."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")
    flags = set(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), []))
    found = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f") if flag in flags]
    return f"{name} ({os.cpu_count()} cores; {', '.join(found) or 'no AVX-512'})"


def commit() -> str:
    """The commit that was measured."""
    here = Path(__file__).parent
    found = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=here, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="timed steps of each")
    parser.add_argument("--width", type=int, default=256, help="channels everywhere")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--out", type=Path, help="folder for training-step.md and training-step.json, such as docs/results")
    arguments = parser.parse_args()

    began = time.perf_counter()
    data = Images(4096, 0)
    loop = compare(arguments.width, arguments.batch_size, arguments.rounds, data)
    share = waited(arguments.width, arguments.batch_size, arguments.rounds, data)
    ours, plain = (statistics.median(times[-arguments.rounds :]) for times in (loop.ours, loop.plain))
    dtype = str(pick_dtype("auto", torch.device("cpu"))).removeprefix("torch.")
    result = {
        "benchmark": "training_step",
        "ratio": round(plain / ours, 3),
        "waited_share": round(share, 5),
        "ours_seconds": round(ours, 4),
        "plain_seconds": round(plain, 4),
        "ours_dtype": dtype,
        "width": arguments.width,
        "batch_size": arguments.batch_size,
        "steps": arguments.rounds,
        "hardware": hardware(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": commit(),
        "seconds": round(time.perf_counter() - began, 1),
    }
    table = "\n".join(
        [
            "| training step | seconds | examples/s | speed | waits for data |",
            "| --- | --- | --- | --- | --- |",
            f"| plain PyTorch loop, float32 | {plain:.3f} | {arguments.batch_size / plain:.1f} | 1.00 | not measured |",
            f"| vqvae, {dtype} | {ours:.3f} | {arguments.batch_size / ours:.1f} | {plain / ours:.2f} | {share:.2%} |",
        ]
    )
    print(table)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        command = f"python benchmarks/training_step.py --rounds {arguments.rounds} --out {arguments.out}"
        words = f"{arguments.width} units, batch {arguments.batch_size}, 32×32 pixels, K={CODES}, D={DIM}; "
        words += f"medians of {arguments.rounds} steps taken in turn."
        where = (
            f"{result['hardware']}, {result['threads']} threads, torch {result['torch']}, commit {result['commit']}, {result['seconds']} s."
        )
        text = f"# Training step of the paper's CIFAR-10 network\n\n{words}\n\n{table}\n\n{where}\n\nWritten by `{command}`.\n"
        (arguments.out / "training-step.md").write_text(text, encoding="utf-8")
        (arguments.out / "training-step.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
