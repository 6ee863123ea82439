"""The gain of joint training of a tokenizer and its prior over two stages, on CIFAR-10 with equal steps.

    python benchmarks/joint_training.py [--data PATH] [--out docs/results] [--steps 3000] [--weights 0:0 0.1:1 0.3:1]

Two stages: train a tokenizer for S steps, then a prior for S steps on its fixed codes. Joint: train both for the same S steps, once for
each pair of weights of the codes' cost: in the choice of codes and in the loss. With 0:0 the tokenizer equals that of the two stages, and
only the prior trains at another time. A further row for each pair trains a second prior for S steps on the finished joint tokenizer. It
shows the effect of the tokenizer alone.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vqvae.data import Cifar10Config, Splits, in_order
from vqvae.data.base import Batch, Dataset
from vqvae.evaluation.images.tokenizer import evaluate_tokenizer
from vqvae.likelihoods import CategoricalConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import PixelCNN, PixelCNNConfig, UnigramPrior, UnigramPriorConfig
from vqvae.quantizers import ProductQuantizerConfig
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.runs.folder import trained_seconds
from vqvae.training import AdamConfig, JointConfig, RunOptions, TrainConfig, Trainer, build

NETWORK = {"widths": (64, 64), "residual_hidden": 64}
CODES = {"codebook_size": 512, "num_codebooks": 4}
TOKENIZER = VQVAEConfig(
    quantizer=ProductQuantizerConfig(dim=64, revive_after=100, **CODES),
    likelihood=CategoricalConfig(channels=3),
    encoder=ImageEncoderConfig(**NETWORK),
    decoder=ImageDecoderConfig(**NETWORK),
)
PRIOR = PixelCNNConfig(layers=6, hidden=64, kernel=3, **CODES)
BATCH, SCORED = 32, 64
WEIGHTS = [(0.0, 0.0), (0.1, 1.0), (0.3, 1.0)]
COLUMNS = ["", "reconstruction", "codes, uniform", "codes, unigram", "codes, learned", "total", "perplexity", "seconds"]


class Codes(Dataset):
    """Codes in memory, from a finished tokenizer."""

    def __init__(self, name: str, codes: Tensor) -> None:
        self.name, self.codes = name, codes

    def __len__(self) -> int:
        return len(self.codes)

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(self.codes[torch.from_numpy(indices)])


class Encoded(NamedTuple):
    """The codes of a tokenizer."""

    splits: Splits
    unigram: UnigramPrior
    """The frequencies of codes in the training data."""


class Bench:
    """The data, the training and scoring of all models, and the time that they took."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.folder, self.seconds = arguments, folder, 0.0
        self.data = Cifar10Config(path=arguments.data).build()

    def train(self, model: VQVAEConfig | PixelCNNConfig | JointConfig, data: Splits, run: str, stage: str) -> Any:
        """Train for S steps. A finished stage is only loaded, and an interrupted one resumes."""
        asked = self.arguments
        config = TrainConfig(
            model=model,
            steps=asked.steps,
            batch_size=BATCH,
            seed=asked.seed,
            optimizer=AdamConfig(learning_rate=1e-3, schedule="cosine", warmup_steps=min(100, asked.steps // 10)),
            precision=asked.precision,
            evaluate_every=0,
        )
        options = RunOptions(checkpoint_every=500, keep_last=1, log_every=100, device="cpu", threads=asked.threads)
        trained = Trainer(build(config), data, config, options, self.folder / run, stage).run()
        self.seconds += trained_seconds(self.folder / run, stage)
        return trained

    @torch.no_grad()
    def encode(self, tokenizer: VQVAE) -> Encoded:
        """Encode the held-out data that is scored, and as much training data as a prior sees in S steps."""
        began = time.perf_counter()
        sides = []
        for side, most in zip(self.data, (self.arguments.steps * BATCH, self.arguments.held_out), strict=True):
            batches = in_order(side, SCORED, stop=min(most, len(side)))
            sides.append(Codes(f"{side.name}-codes", torch.cat([tokenizer.encode(batch)[0] for batch in batches])))
        unigram = UnigramPriorConfig(**CODES).build()
        unigram.count(sides[0].codes)
        self.seconds += time.perf_counter() - began
        return Encoded(Splits(*sides), unigram)

    def score(self, tokenizer: VQVAE, prior: PixelCNN, unigram: UnigramPrior) -> dict[str, Any]:
        """Bits per dimension on held-out images, with the nearest codes."""
        priors = {"unigram": unigram.log_prob, "learned": prior.log_prob}
        return evaluate_tokenizer(tokenizer, self._held_out(), log_priors=priors)

    def _held_out(self) -> Iterator[Batch]:
        return in_order(self.data.held_out, SCORED, stop=min(self.arguments.held_out, len(self.data.held_out)))


def measure(bench: Bench) -> list[dict[str, Any]]:
    """The scores of all rows."""
    tokenizer = bench.train(TOKENIZER, bench.data, "two-stages", "tokenizer")
    encoded = bench.encode(tokenizer)
    prior = bench.train(PRIOR, encoded.splits, "two-stages", "prior")
    rows = [{"name": "two stages", "seconds": bench.seconds, **bench.score(tokenizer, prior, encoded.unigram)}]
    third = bench.arguments.steps // 3
    for choice, loss in bench.arguments.weights:
        before, run, name = bench.seconds, f"joint-{choice:g}-{loss:g}", f"joint, weights {choice:g} and {loss:g}"
        config = JointConfig(
            tokenizer=TOKENIZER, prior=PRIOR, choice_weight=choice, loss_weight=loss, alone_steps=third, anneal_steps=third
        )
        joint = bench.train(config, bench.data, run, "joint")
        spent = bench.seconds - before
        encoded = bench.encode(joint.tokenizer)
        priors = {name: (joint.prior, spent)}
        if choice or loss:  # Otherwise the second prior would equal that of the two stages.
            second = bench.train(PRIOR, encoded.splits, run, "prior")
            priors[f"{name}, and a second prior"] = (second, bench.seconds - before)
        for row, (prior, seconds) in priors.items():
            scores = bench.score(joint.tokenizer, prior, encoded.unigram)
            rows.append({"name": row, "seconds": seconds, **scores})
    return rows


def cells(row: dict[str, Any]) -> list[str]:
    """A row of the table."""
    pixels = row["bits_per_dim_reconstruction"]
    codes = [row[f"bits_per_dim_{name}"] - pixels for name in ("uniform", "unigram", "learned")]
    numbers = [f"{value:.4f}" for value in (pixels, *codes, row["bits_per_dim_learned"])]
    return [row["name"], *numbers, f"{row['perplexity']:.0f}", f"{row['seconds']:.0f}"]


def pair(text: str) -> tuple[float, float]:
    """Two weights, such as 0.3:1."""
    choice, loss = text.split(":")
    return float(choice), float(loss)


def main() -> None:
    """Train, score, print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="the folder cifar-10-batches-bin, or its parent; if omitted, download the data")
    parser.add_argument("--out", type=Path, help="folder for joint-training.md and .json, such as docs/results")
    parser.add_argument("--run", type=Path, help="folder for the runs, to keep and resume them; default: a temporary one")
    parser.add_argument("--steps", type=int, default=3000, help="S")
    parser.add_argument("--weights", type=pair, nargs="+", default=WEIGHTS, metavar="CHOICE:LOSS", help="weights of the codes' cost")
    parser.add_argument("--held-out", type=int, default=10_000, help="number of test images to score")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        bench = Bench(arguments, arguments.run or Path(temporary))
        rows = measure(bench)
    table = [cells(row) for row in rows]
    print(markdown_table(COLUMNS, table))
    record = write_results(
        arguments.out,
        "joint-training",
        title="Joint training of tokenizer and prior, compared with two stages, on CIFAR-10",
        command=this_command(),
        columns=COLUMNS,
        rows=table,
        values={"batch_size": BATCH, "seed": arguments.seed, "held_out": arguments.held_out, "rows": rows},
        steps=arguments.steps,
        seconds=bench.seconds,
        notes=NOTES.format(steps=arguments.steps, batch=BATCH, held_out=arguments.held_out),
    )
    print(json.dumps(record))


NOTES = """
Bits per dimension on the first {held_out} test images. *reconstruction* is −log₂ p(x|z). *total* adds the cost of the codes under the
learned prior; it is a bound on −log₂ p(x). Two stages: {steps} steps of the tokenizer, then {steps} of the prior. Joint: {steps} steps of
both at once. The weights of the codes' cost, in the choice of codes and in the loss, are 0 for the first third of the steps and rise over
the next third. *And a second prior*: {steps} more steps of a new prior on the codes of the joint tokenizer, as in the second stage. All
trainings use batches of {batch}, and Adam at 1e-3 with a cosine. The seconds are for the whole training of a row.
"""


if __name__ == "__main__":
    main()
