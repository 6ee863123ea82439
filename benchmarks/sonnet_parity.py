"""Parity with the VQ-VAE example that DeepMind published with Sonnet, on the real CIFAR-10.

    python benchmarks/sonnet_parity.py [--data PATH] [--out docs/results]

The notebook (sonnet/examples/vqvae_example.ipynb) trains on the first four training files: encoder of 4×4 convolutions of stride 2
to 64 and 128 channels, a 3×3 convolution, two residual blocks of 32 hidden channels, the decoder mirrored; K = 512, D = 64,
EMA with decay 0.99, commitment 0.25, Adam at 3e-4, 10,000 steps of 32 pictures. Its loss is the squared error over the variance
of the data, plus the quantizer's. Here the same is trained with our trainer and scored on the 10,000 test images.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vqvae.data import Cifar10Config
from vqvae.data.base import Batch, Dataset, Splits
from vqvae.data.loader import in_order
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.quantizers.codebook import perplexity
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.training import AdamConfig, RunOptions, TrainConfig, Trainer, build
from vqvae.training.machine import pick_dtype

PUBLISHED_NMSE, PUBLISHED_PERPLEXITY = 0.056, 326.0
TRAINED_ON, BATCH, CODES = 40_000, 32, 512


class First(Dataset):
    """The first examples of a data set: the notebook leaves the fifth training file out."""

    def __init__(self, whole: Dataset, count: int) -> None:
        self.name, self.whole, self.count = f"{whole.name}-first-{count}", whole, count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: np.ndarray) -> Batch:
        return self.whole.batch(indices)


class Scores(NamedTuple):
    """What the test images give."""

    nmse: float
    """Squared error of the decoder's means, clipped to [0, 255] but not rounded, over the variance of the training data."""
    nmse_pixels: float
    """The same of the rounded pixels."""
    perplexity: float
    """Mean over batches of 32."""
    perplexity_of_all: float
    codes_used: float


def settings(variance: float, arguments: argparse.Namespace) -> TrainConfig:
    """The notebook's settings as ours; ``variance`` in squared pixel levels."""
    model = VQVAEConfig(
        quantizer=EMAQuantizerConfig(
            dim=64, codebook_size=CODES, start_from_data=not arguments.random_start, revive_after=arguments.revive_after
        ),
        # -log p has squared error / (2 scale²) in it, a dimension: with this scale squared error / variance, as theirs.
        likelihood=GaussianConfig(channels=3, scale=math.sqrt(variance / 2)),
        encoder=ImageEncoderConfig(widths=(64, 128), residual_blocks=2, residual_hidden=32, stem=True),
        decoder=ImageDecoderConfig(widths=(128, 64), residual_blocks=2, residual_hidden=32),
    )
    adam = AdamConfig(learning_rate=3e-4)
    return TrainConfig(
        model=model,
        steps=arguments.steps,
        batch_size=BATCH,
        seed=arguments.seed,
        optimizer=adam,
        precision=arguments.precision,
        average_decay=arguments.average_decay,
        evaluate_every=0,
    )


def squared_error(scale: float) -> Callable[[Tensor, Tensor], Tensor]:
    """What the notebook takes for log p(x | z): the Gaussian's density. Our likelihood counts its mass over the 256 levels instead,
    where black and white take the tails; at the notebook's scale of 45 levels that is another objective for dark and bright pixels."""

    def log_prob(parameters: Tensor, x: Tensor) -> Tensor:
        deviation = (127.5 + 127.5 * parameters.float() - x) / scale
        return -(0.5 * deviation.square() + math.log(scale * math.sqrt(2 * math.pi))).flatten(1).sum(1)

    return log_prob


@torch.inference_mode()
def score(model: VQVAE, data: Dataset, variance: float) -> Scores:
    """Score every example of the data, in batches of 32, in float32."""
    model.eval()
    error = rounded = 0.0
    batches: list[float] = []
    counts = torch.zeros(CODES, dtype=torch.int64)
    entries = 0
    for batch in in_order(data, BATCH):
        (codes,) = model.encode(batch)
        means = (127.5 + 127.5 * model.decoder(model.quantizer.decode(codes))).clamp(0, 255)
        x = batch.x.float()
        error += _squared(means - x)
        rounded += _squared(model.decode((codes,)).float() - x)
        entries += x.numel()
        found = torch.bincount(codes.flatten(), minlength=CODES)
        batches.append(float(perplexity(found)))
        counts += found
    return Scores(
        nmse=error / entries / variance,
        nmse_pixels=rounded / entries / variance,
        perplexity=statistics.fmean(batches),
        perplexity_of_all=float(perplexity(counts)),
        codes_used=float((counts > 0).double().mean()),
    )


def _squared(difference: Tensor) -> float:
    return float(difference.double().square().sum())


def main() -> None:
    """Train, score, print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="the folder cifar-10-batches-bin or the one that holds it; downloaded where left out")
    parser.add_argument("--out", type=Path, help="folder for sonnet-parity.md and .json, such as docs/results")
    parser.add_argument("--run", type=Path, help="run folder to keep, and to go on from; a temporary one where left out")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--random-start", action="store_true", help="start the codebook random, as the notebook does, not by k-means")
    parser.add_argument("--revive-after", type=int, default=0, help="steps without a hit after which a code is set to a latent; 0 is off")
    parser.add_argument("--discretised", action="store_true", help="train with our likelihood itself instead of the plain squared error")
    parser.add_argument("--average-decay", type=float, default=0.0, help="decay of the running mean of weights that is scored; 0 is off")
    parser.add_argument("--threads", type=int, help="CPU threads")
    arguments = parser.parse_args()

    splits = Cifar10Config(path=arguments.data).build()
    train = First(splits.train, TRAINED_ON)
    variance = float(train.batch(np.arange(TRAINED_ON)).x.double().var(correction=0))
    config = settings(variance, arguments)
    options = RunOptions(checkpoint_every=2000, keep_last=1, log_every=500, device="cpu", threads=arguments.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.run or Path(temporary)
        module = build(config)
        if not arguments.discretised:
            module.likelihood.log_prob = squared_error(config.model.likelihood.scale)
        model = Trainer(module, Splits(train, splits.held_out), config, options, folder).run()
        # The run's own clock, which goes on where an interrupted run does.
        trained = json.loads((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])["seconds"]
    began = time.perf_counter()
    scores = score(model, splits.held_out, variance)

    columns = ["", "NMSE", "perplexity, batches of 32", "perplexity, whole set", "codes used"]
    rows = [
        ["Sonnet's notebook, as published (training batches)", f"{PUBLISHED_NMSE}", f"{PUBLISHED_PERPLEXITY:.0f}", "", ""],
        [
            "vqvae, 10,000 test images",
            f"{scores.nmse:.4f}",
            f"{scores.perplexity:.1f}",
            f"{scores.perplexity_of_all:.1f}",
            f"{scores.codes_used:.1%}",
        ],
    ]
    print(markdown_table(columns, rows))
    dtype = str(pick_dtype(config.precision, torch.device("cpu"))).removeprefix("torch.")
    notes = NOTES.format(
        variance=variance / 255**2,
        dtype=dtype,
        start="starts random" if arguments.random_start else "starts by k-means",
        average=f"; what is scored are running means of our weights, decay {arguments.average_decay}" if arguments.average_decay else "",
    )
    record = write_results(
        arguments.out,
        "sonnet-parity",
        title="Parity with Sonnet's published VQ-VAE on CIFAR-10",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={
            **scores._asdict(),
            "published_nmse": PUBLISHED_NMSE,
            "published_perplexity": PUBLISHED_PERPLEXITY,
            "variance": variance / 255**2,
            "batch_size": BATCH,
            "seed": arguments.seed,
            "dtype": dtype,
            "average_decay": arguments.average_decay,
            "training_seconds": trained,
        },
        steps=arguments.steps,
        seconds=trained + time.perf_counter() - began,
        notes=notes,
    )
    print(json.dumps(record))


NOTES = """
NMSE is the squared error over the variance of the training data ({variance:.5f} for pixels in [0, 1]); ours is of the decoder's
means, cut off at black and white, on test images. The notebook prints means over its last 100 training batches.

The same in both: layers and widths, K = 512, D = 64, EMA decay 0.99, commitment 0.25, Adam at 3e-4, batches of 32, 40,000
training images (where they are in the publisher's order, the same ones), and the weight of the squared error beside the commitment,
because the Gaussian's scale is √(variance / 2). Not the same: our Gaussian is counted over 256 levels, whose first and last take
the tails, so that the mean of a black or white pixel may lie beyond it; the notebook has one ReLU more, after the encoder's 3×3
convolution; first weights are as torch draws them; our codebook {start}, and its idle codes stay where they are, whereas the
notebook's fall to the origin; our convolutions run in {dtype}{average}.
"""


if __name__ == "__main__":
    main()
