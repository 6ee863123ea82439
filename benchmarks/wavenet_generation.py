"""Audio from a WaveNet on one core: in one compiled kernel, with cached state in PyTorch, and by evaluating the whole receptive field.

    python benchmarks/wavenet_generation.py [--rounds 5] [--seconds 0.5] [--out docs/results]

Decoders with random weights and 256 levels draw one wave in one of 20 voices, given a vector for every 64 samples. The times are from the
vectors to the bins. "compiled" is the numba kernel, with weights in float32 or in 8 bits. "cached" is the loop over ``step`` in PyTorch.
"naive" runs the network over its whole receptive field for each sample, as training does; it is timed for a few samples. All take turns in
one process with one thread. They draw the same values from the same uniform numbers, which is checked.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from turns import take_turns

from vqvae.data.base import Condition
from vqvae.layers.autoregressive import draw, extend
from vqvae.networks import Given, WaveNetDecoderConfig
from vqvae.reports.results import markdown_table, this_command, write_results

LEVELS, STRIDE, DIM, VOICES, RATE = 256, 64, 64, 20, 16000
CACHED, NAIVE = 512, 2
"""Numbers of samples for which the two slow ways are timed."""
NAIVE_BAR, CACHED_BAR = 500, 5


class Case(NamedTuple):
    """A network, the type of its weights, and the samples per second that it must draw."""

    residual: int
    skip: int
    layers: int
    int8: bool
    bar: int | None

    @property
    def name(self) -> str:
        return f"{self.residual}/{self.skip}/{self.layers} {'int8' if self.int8 else 'float32'}"


CASES = (
    Case(32, 128, 30, False, 40000),
    Case(32, 128, 30, True, None),
    Case(64, 128, 30, False, None),
    Case(64, 128, 30, True, 16000),
)


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each")
    parser.add_argument("--seconds", type=float, default=0.5, help="of audio at 16 kHz that the kernel draws in each round")
    parser.add_argument("--out", type=Path, help="folder for wavenet-generation.md and .json, such as docs/results")
    arguments = parser.parse_args()

    began = time.perf_counter()
    torch.set_num_threads(1)
    count = math.ceil(arguments.seconds * RATE / STRIDE) * STRIDE
    found = [measure(case, count, arguments.rounds) for case in CASES]
    columns = ["residual/skip/layers, weights", "naive, samples/s", "cached", "compiled", "bar", "of 16 kHz", "compiled / naive"]
    columns += ["compiled / cached"]
    rows = [row(case, values) for case, values in zip(CASES, found, strict=True)]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "wavenet-generation",
        title="Audio from a WaveNet on one core",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={
            "samples_per_second": {case.name: values["samples_per_second"] for case, values in zip(CASES, found, strict=True)},
            "ratio_naive": min(values["ratio_naive"] for values in found),
            "ratio_cached": min(values["ratio_cached"] for values in found),
            "cases": [case._asdict() | values for case, values in zip(CASES, found, strict=True)],
        },
        seconds=time.perf_counter() - began,
        notes=NOTES.format(
            rounds=arguments.rounds,
            count=count,
            cached=CACHED,
            naive=NAIVE,
            naive_bar=NAIVE_BAR,
            cached_bar=CACHED_BAR,
            others=max(values["others_cores"] for values in found),
        ),
    )
    print(json.dumps(record))


@torch.inference_mode()
def measure(case: Case, count: int, rounds: int) -> dict:
    """Samples per second each way, and their ratios."""
    torch.manual_seed(0)
    config = WaveNetDecoderConfig(
        stride=STRIDE, levels=LEVELS, speakers=VOICES, layers=case.layers, residual=case.residual, skip=case.skip, int8=case.int8
    )
    decoder = config.build(DIM, LEVELS).eval()
    vectors, condition = torch.randn(1, DIM, max(count, CACHED) // STRIDE), Condition(label=torch.zeros(1, dtype=torch.int64))
    uniforms = torch.rand(1, max(count, CACHED), generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def drawn(count: int, compiled: bool) -> Tensor:
        state = decoder.start(1, (count,), Given(vectors[..., : count // STRIDE], condition))
        return extend(decoder, state, uniforms[:, :count], compiled=compiled)

    values = drawn(max(count, CACHED), True)
    check(drawn(CACHED, False), values[:, :CACHED], "the cached loop")
    window = math.ceil(decoder.wavenet.receptive_field / STRIDE) * STRIDE
    # A wave as long as the receptive field. The naive way draws its last samples.
    sees, seen = (torch.cat([part] * math.ceil(window / count), -1) for part in (values, vectors))
    sees, bias = sees[:, -window:], decoder.gate_bias(seen[..., -window // STRIDE :], condition)
    exact = decoder.wavenet.rounded_to_int8() if case.int8 else decoder.wavenet

    def naive() -> list[Tensor]:
        return [draw(exact(sees, bias)[:, -1], uniforms[:, :1]) for _ in range(NAIVE)]

    turns = {"naive": naive, "cached": lambda: drawn(CACHED, False), "compiled": lambda: drawn(count, True)}
    turned = take_turns(turns, rounds)
    speeds = {name: samples / turned.seconds[name] for name, samples in (("naive", NAIVE), ("cached", CACHED), ("compiled", count))}
    return {
        "samples_per_second": speeds["compiled"],
        "cached_samples_per_second": speeds["cached"],
        "naive_samples_per_second": speeds["naive"],
        "ratio_naive": speeds["compiled"] / speeds["naive"],
        "ratio_cached": speeds["compiled"] / speeds["cached"],
        "others_cores": turned.others,
    }


def row(case: Case, values: dict) -> list[str]:
    """A row of the table."""
    return [
        case.name,
        f"{values['naive_samples_per_second']:.1f}",
        f"{values['cached_samples_per_second']:.0f}",
        f"{values['samples_per_second']:.0f}",
        f"{case.bar}" if case.bar else "",
        f"{values['samples_per_second'] / RATE:.2f}",
        f"{values['ratio_naive']:.0f}×",
        f"{values['ratio_cached']:.1f}×",
    ]


def check(found: Tensor, expected: Tensor, name: str) -> None:
    """Check that all draws are equal up to the first one where rounding decides between neighbours. Later draws may differ."""
    same = int((found == expected).int().cumprod(1).sum())
    if same < found.numel() // 4:
        raise SystemExit(f"{name} differs from the kernel at sample {same} of {found.numel()}.")


NOTES = """
256 levels, a vector of 64 channels for every 64 samples, one of 20 voices, batch 1, one thread. Medians of {rounds} rounds, taken in
turns, in which other processes used at most {others:.2f} cores. A round is {count} samples of the kernel, {cached} of the cached loop
and {naive} of the naive way, which evaluates the receptive field for each sample. Bars: {naive_bar}× naive and {cached_bar}× the cached
loop. The times of the compiled and the cached way include the bias of the gates from vectors and voice, and the draws.
"""


if __name__ == "__main__":
    main()
