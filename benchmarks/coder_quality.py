"""The entropy coder of runs beside the prior that it stands in for: bits per code on the same held-out examples.

    python benchmarks/coder_quality.py --run runs/demo runs/demo-speech runs/demo-video [--examples 200] [--out docs/results]

A run needs codes, a prior and a coder (``vqvae train``, or ``vqvae train-prior`` and ``vqvae train-coder``). Each example is costed alone,
with the same labels, actions and codes of the levels above. No file is written, so the cost is the sum of -log2 p.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import NamedTuple

import torch

from vqvae import pipeline, storage
from vqvae.codec.coders import PARTS, coder_folder, coders_of, read_integers
from vqvae.data.base import Batch
from vqvae.data.loader import spread_indices
from vqvae.pipeline import Pipeline
from vqvae.pipeline.parts import log_prob
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.runs.coder import BITS, BITS_FLOAT
from vqvae.runs.encoding import read_codes

BAR = 0.1
"""The share by which the coder may cost more than the prior."""


class Cost(NamedTuple):
    """What the codes of one level cost, in bits."""

    codes: int = 0
    static: float = 0.0
    coder: float = 0.0
    prior: float = 0.0

    def more(self, other: "Cost") -> "Cost":
        """The sum of both."""
        return Cost(*map(sum, zip(self, other, strict=True)))


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="runs with codes, priors and coders")
    parser.add_argument("--examples", type=int, default=200, help="held-out examples of each run")
    parser.add_argument("--out", type=Path, help="folder for coder-quality.md and coder-quality.json, such as docs/results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began, found, rows = time.perf_counter(), {}, []
    for run in arguments.run:
        model = pipeline.load(run, "cpu")
        levels = [measure(run, model, number, arguments.examples) for number in range(len(model.layout))]
        rounded = [rounding(run, number) for number in range(len(model.layout))]
        found[run.name] = {"over_prior": over(levels), "levels": [one._asdict() for one in levels], "over_float": rounded}
        for number, (one, other) in enumerate(zip(levels, rounded, strict=True)):
            name = run.name if len(levels) == 1 else f"{run.name}, level {number}"
            bits = [f"{value / one.codes:.3f}" for value in (one.static, one.coder, one.prior)]
            rows.append([name, f"{one.codes:,}", *bits, f"{one.coder / one.prior - 1:+.1%}", f"{other:+.2%}"])
    columns = ["run", "codes", "mode static", "mode prior", "main prior", "mode prior over main prior", "integers over floats"]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "coder-quality",
        title="The entropy coder beside the prior",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={"over_main_prior": {name: one["over_prior"] for name, one in found.items()}, "runs": found, "bar": BAR},
        seconds=time.perf_counter() - began,
        notes=NOTES.format(examples=arguments.examples, bar=BAR),
    )
    print(json.dumps(record))


def measure(run: Path, model: Pipeline, level: int, examples: int) -> Cost:
    """The cost of held-out codes of a level."""
    held_out, total = read_codes(run, level=level).held_out, Cost()
    integers = read_integers(run, model.layout)
    coder, static = (coders_of(mode, model.layout, integers)[level] for mode in ("prior", "static"))
    batch = held_out.batch(spread_indices(held_out, examples))
    for one in (batch.take(slice(n, n + 1)) for n in range(len(batch.x))):
        total = total.more(Cost(int(inside(one).sum()), summed(static, one), summed(coder, one), in_bits(model, level, one)))
    return total


def inside(one: Batch) -> torch.Tensor:
    """Which codes of an example count: (codebooks, *space)."""
    return torch.ones(one.x.shape[1:], dtype=torch.bool) if one.mask is None else one.mask[0].expand(one.x.shape[1:])


def summed(coder: object, one: Batch) -> float:
    """What a coder asks for an example, in bits."""
    return float(coder.costs(one.x[0], one.condition)[inside(one).numpy()].sum())


def in_bits(model: Pipeline, level: int, one: Batch) -> float:
    """What the prior asks for an example, in bits."""
    with torch.no_grad():
        return -float(log_prob(model.priors[level], one.x, one.condition, one.mask)) / math.log(2)


def rounding(run: Path, level: int) -> float:
    """What the integers of a coder cost more than the floats that they were rounded from."""
    scores = storage.read(coder_folder(run, level), PARTS).card.metrics
    return scores[BITS] / scores[BITS_FLOAT] - 1


def over(levels: list[Cost]) -> float:
    """The cost of all levels under the coders, over that under the priors, less one."""
    return sum(one.coder for one in levels) / sum(one.prior for one in levels) - 1


NOTES = """
Bits per code of at most {examples} held-out examples of each run, each alone, as -log2 p. "Mode prior" is the entropy coder. "Main prior"
is the prior of the run. The bar: the coder costs at most {bar:.0%} more than the main prior. The last column is from the training of the
coder, on other held-out examples.
"""

if __name__ == "__main__":
    main()
