"""Compare the speed of this code with earlier code: a quantizer, a training step, codes from a PixelCNN, audio from a WaveNet.

    git worktree add ../earlier COMMIT
    python benchmarks/earlier.py ../earlier/src [--rounds 15] [--out docs/results]

Two processes with one thread each, one for each source tree, take turns with the same work on the same numbers: A B A B. A turn repeats the
work for at least a fifth of a second. Processor time is compared, because other processes use the machine, too.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from vqvae.data.base import Batch, Condition
from vqvae.layers.autoregressive import extend, sample
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import Given, ImageDecoderConfig, ImageEncoderConfig, WaveNetDecoderConfig
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig

TURN = 0.2
"""The shortest turn, in seconds."""


def quantizer() -> Callable[[], object]:
    """Forward, backward and update of 7056 latents of 64 channels, 512 codes."""
    module = EMAQuantizerConfig(dim=64, codebook_size=512).build()
    latents = torch.randn(16, 64, 21, 21, requires_grad=True)

    def turn() -> None:
        found = module(latents)
        (found.vectors.sum() + found.loss).backward()

    return turn


def training_step() -> Callable[[], object]:
    """A step of Adam on 16 pictures of 32 × 32, networks 64 channels wide."""
    network = {"widths": (64, 64), "residual_blocks": 2, "residual_hidden": 32}
    model = VQVAEConfig(
        encoder=ImageEncoderConfig(**network),
        quantizer=EMAQuantizerConfig(dim=64, codebook_size=512),
        decoder=ImageDecoderConfig(**network),
        likelihood=GaussianConfig(channels=3),
    ).build()
    optimizer = torch.optim.Adam(model.parameters(), 2e-4)
    batch = Batch(torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8))

    def turn() -> None:
        optimizer.zero_grad()
        model(batch).loss.backward()
        optimizer.step()

    return turn


def pixelcnn() -> Callable[[], object]:
    """A map of 16 × 16 codes from 12 layers of 64 channels."""
    prior = PixelCNNConfig(codebook_size=512, layers=12, hidden=64).build().eval()
    uniforms = torch.rand(1, 256, dtype=torch.float64)
    return torch.inference_mode()(lambda: sample(prior, 1, (16, 16), uniforms=uniforms, compiled=True))


def wavenet(int8: bool) -> Callable[[], object]:
    """4096 samples from 30 layers of 32 channels, with 128 skip channels."""
    decoder = WaveNetDecoderConfig(stride=64, levels=256, speakers=20, layers=30, residual=32, skip=128, int8=int8).build(64, 256).eval()
    given = Given(torch.randn(1, 64, 64), Condition(label=torch.zeros(1, dtype=torch.int64)))
    uniforms = torch.rand(1, 4096, dtype=torch.float64)
    return torch.inference_mode()(lambda: extend(decoder, decoder.start(1, (4096,), given), uniforms, compiled=True))


WORK: dict[str, Callable[[], Callable[[], object]]] = {
    "EMA quantizer": quantizer,
    "training step": training_step,
    "PixelCNN, compiled": pixelcnn,
    "WaveNet, compiled, float32": lambda: wavenet(False),
    "WaveNet, compiled, int8": lambda: wavenet(True),
}


def work(name: str) -> None:
    """Take a turn for each input line, and print the seconds of one repetition."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    turn = WORK[name]()
    turn()
    began = time.process_time()
    turn()
    times = max(1, round(TURN / max(time.process_time() - began, 1e-6)))
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.process_time()
        for _ in range(times):
            turn()
        print((time.process_time() - began) / times, flush=True)


def compare(name: str, trees: dict[str, Path], rounds: int) -> dict[str, list[float]]:
    """The seconds of all turns, for each tree."""
    workers = {}
    for tree, source in trees.items():
        environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--work", name]
        workers[tree] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, list[float]] = {tree: [] for tree in trees}
    try:
        for worker in workers.values():
            assert worker.stdout is not None and worker.stdout.readline() == "ready\n", "the worker has printed the reason"
        for turn in range(rounds):
            # The order alternates: the first of a pair has the colder machine.
            for tree in list(workers) if turn % 2 == 0 else reversed(list(workers)):
                worker = workers[tree]
                assert worker.stdin is not None and worker.stdout is not None, "pipes"
                worker.stdin.write("\n")
                worker.stdin.flush()
                found[tree].append(float(worker.stdout.readline()))
    finally:
        for worker in workers.values():
            worker.communicate()
    return found


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("earlier", type=Path, nargs="?", help="the src folder of the earlier code")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each")
    parser.add_argument("--out", type=Path, help="folder for earlier.md and earlier.json, such as docs/results")
    parser.add_argument("--work", choices=list(WORK), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work)
        return
    if arguments.earlier is None or not (arguments.earlier / "vqvae").is_dir():
        parser.error(f"{arguments.earlier} holds no package vqvae; give the src folder of a worktree of the earlier commit")
    # Imported here: earlier code has these elsewhere.
    from vqvae.reports.results import markdown_table, this_command, write_results

    began = time.perf_counter()
    trees = {"earlier": arguments.earlier, "now": Path(__file__).parents[1] / "src"}
    found = {name: compare(name, trees, arguments.rounds) for name in WORK}
    columns = ["work", "earlier, ms", "now, ms", "now / earlier", "quartiles of the pairs"]
    rows, values = [], {}
    for name, seconds in found.items():
        before, now = (statistics.median(seconds[tree]) for tree in trees)
        ratios = [b / a for a, b in zip(seconds["earlier"], seconds["now"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        values[name] = {"earlier_seconds": before, "now_seconds": now, "ratio": middle, "quartiles": [low, high]}
        rows.append([name, f"{1000 * before:.2f}", f"{1000 * now:.2f}", f"{middle:.3f}", f"{low:.3f} to {high:.3f}"])
    print(markdown_table(columns, rows))
    commit = subprocess.run(["git", "-C", arguments.earlier, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    record = write_results(
        arguments.out,
        "earlier",
        title="This code compared with earlier code",
        columns=columns,
        rows=rows,
        values={"work": values, "earlier_commit": commit, "rounds": arguments.rounds},
        command=this_command(),
        device="cpu",
        seconds=time.perf_counter() - began,
        notes=f"Processor time of one thread, {arguments.rounds} turns of each, interleaved. The ratio is the median over pairs of turns. "
        f"The earlier code is commit {commit}.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
