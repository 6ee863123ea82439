"""Sampling from a gated PixelCNN: with cached state, in one compiled kernel, and by evaluating the whole map for each code.

    python benchmarks/pixelcnn_sampling.py [--rounds 5] [--out docs/results]

One prior (12 layers of 64 channels, K = 512, random weights) draws maps of codes. "cached" is the loop over ``step`` in PyTorch. "compiled"
is the same loop as one numba kernel, with one example per core. "naive" runs the network over the whole map, as training does, to draw a
single code; it is timed at some positions spread over the map, and extrapolated to all. All three take turns in one process. They draw the
same codes from the same uniform numbers, which is checked.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from turns import Turns, take_turns

from vqvae.layers.autoregressive import draw, sample
from vqvae.priors import PixelCNN, PixelCNNConfig
from vqvae.reports.results import markdown_table, this_command, write_results

LAYERS, HIDDEN, CODES = 12, 64, 512
POSITIONS = 8
"""Number of positions at which the naive way is timed."""
PRODUCT = 2048
"""Rows, columns and terms of the product that measures the speed of the machine."""
COMPILED_BAR = 3.0


class Case(NamedTuple):
    """Maps of side × side codes, the batch size, and the required speed relative to naive."""

    side: int
    batch: int
    bar: float | None


CASES = (Case(32, 1, 200), Case(32, 16, 500), Case(32, 64, None), Case(8, 1, 25), Case(8, 16, 25))


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each")
    parser.add_argument("--out", type=Path, help="folder for pixelcnn-sampling.md and .json, such as docs/results")
    arguments = parser.parse_args()

    began = time.perf_counter()
    torch.manual_seed(0)
    prior = PixelCNNConfig(codebook_size=CODES, layers=LAYERS, hidden=HIDDEN).build().eval()
    found = [measure(prior, case, arguments.rounds) for case in CASES]
    columns = ["codes, batch", "naive, codes/s", "cached, codes/s", "compiled, codes/s", "by itself / naive", "bar", "compiled / cached"]
    columns += ["time / floor"]
    rows = [row(case, values) for case, values in zip(CASES, found, strict=True)]
    print(markdown_table(columns, rows))
    compiled = found[0]["compiled_seconds"]
    values = {
        **{f"ratio_batch_{case.batch}": values["ratio"] for case, values in zip(CASES, found, strict=True) if case.side == 32 and case.bar},
        "ratio_8x8": min(values["ratio"] for case, values in zip(CASES, found, strict=True) if case.side == 8),
        "ratio_compiled": found[0]["cached_seconds"] / compiled,
        "cases": [case._asdict() | values for case, values in zip(CASES, found, strict=True)],
    }
    record = write_results(
        arguments.out,
        "pixelcnn-sampling",
        title="Sampling from a gated PixelCNN",
        command=this_command(),
        columns=columns,
        rows=rows,
        values=values,
        seconds=time.perf_counter() - began,
        notes=NOTES.format(rounds=arguments.rounds, positions=POSITIONS, bar=COMPILED_BAR, others=max(v["others_cores"] for v in found)),
    )
    print(json.dumps(record))


@torch.inference_mode()
def measure(prior: PixelCNN, case: Case, rounds: int) -> dict:
    """All measurements of a case."""
    space, count = (case.side, case.side), case.side**2
    uniforms = torch.rand(case.batch, count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    positions = [(2 * i + 1) * count // (2 * POSITIONS) for i in range(POSITIONS)]
    codes = sample(prior, case.batch, space, uniforms=uniforms, compiled=False)

    def naive() -> list[Tensor]:
        return [draw(naive_logits(prior, codes, position), uniforms[:, position : position + 1]) for position in positions]

    turns = {
        "naive": naive,
        "cached": lambda: sample(prior, case.batch, space, uniforms=uniforms, compiled=False),
        "product": product,
    }
    turns["compiled"] = lambda: sample(prior, case.batch, space, uniforms=uniforms, compiled=True)
    turns["itself"] = lambda: sample(prior, case.batch, space, uniforms=uniforms)
    check(sample(prior, case.batch, space, uniforms=uniforms, compiled=True), codes, "compiled")
    check(torch.stack(naive(), 1), codes.flatten(1)[:, positions], "naive")
    product()
    turned = take_turns(turns, rounds)
    return in_numbers(prior, case, turned)


def in_numbers(prior: PixelCNN, case: Case, turned: Turns) -> dict:
    """Seconds for a whole batch of maps each way, and their ratios."""
    seconds, count = turned.seconds, case.side**2
    naive, cached, compiled, best = seconds["naive"] / POSITIONS * count, *(seconds[name] for name in ("cached", "compiled", "itself"))
    # Each weight of a matrix or a filter costs one multiplication and one addition per position; look-ups cost none.
    weights = sum(p.numel() for name, p in prior.named_parameters() if p.ndim > 1 and name not in ("embedding", "place.weight"))
    floor = 2 * weights * count * case.batch / (2 * PRODUCT**3 / seconds["product"])
    return {
        "naive_seconds": naive,
        "cached_seconds": cached,
        "compiled_seconds": compiled,
        "ratio": naive / best,
        "ratio_cached": naive / cached,
        "floor_seconds": floor,
        "ratio_floor": best / floor,
        "others_cores": turned.others,
    }


def row(case: Case, values: dict) -> list[str]:
    """A row of the table."""
    codes, compiled = case.side**2 * case.batch, values["compiled_seconds"]
    return [
        f"{case.side} × {case.side}, {case.batch}",
        f"{codes / values['naive_seconds']:.1f}",
        f"{codes / values['cached_seconds']:.0f}",
        f"{codes / compiled:.0f}",
        f"{values['ratio']:.0f}×",
        f"{case.bar:g}×" if case.bar else "",
        f"{values['cached_seconds'] / compiled:.1f}×",
        f"{values['ratio_floor']:.1f}",
    ]


def naive_logits(prior: PixelCNN, codes: Tensor, position: int) -> Tensor:
    """The logits of one code from the whole network. Later codes are hidden from it, as in sampling."""
    known = codes.flatten(1).clone()
    known[:, position:] = 0
    x = prior._embed(known.view_as(codes))
    hidden = prior.output(prior.stack(x).relu()).relu()
    logits = hidden @ prior.logits_weight[0] + prior.logits_bias[0]
    return logits.flatten(1, 2)[:, position]


def check(found: Tensor, expected: Tensor, name: str) -> None:
    """Check that all draws are equal, except a few where rounding decides between neighbours."""
    differing = int((found.flatten() != expected.flatten()).sum())
    if differing > math.ceil(expected.numel() / 1000):
        raise SystemExit(f"{name} draws {differing} of {expected.numel()} codes that the cached loop does not.")


def product() -> None:
    """A large product in float32: what the machine can do."""
    a = torch.ones(PRODUCT, PRODUCT)
    torch.mm(a, a)


NOTES = """
Medians of {rounds} rounds, taken in turns. Other processes used at most {others:.2f} cores meanwhile. The naive way is timed at
{positions} positions spread over the map. "by itself" is the automatic choice of `sample`: the compiled kernel for few examples, otherwise
the cached loop. At batch 1 the kernel runs on one core and must be {bar:g} times as fast as the cached loop. The floor is the time for the
multiplications and additions of each position, done once at the speed of a large float32 product on all cores.
"""


if __name__ == "__main__":
    main()
