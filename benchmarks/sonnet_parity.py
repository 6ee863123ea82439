"""Parity with the VQ-VAE example that DeepMind published with Sonnet, on CIFAR-10.

    python benchmarks/sonnet_parity.py [--data PATH] [--out docs/results]

The notebook (sonnet/examples/vqvae_example.ipynb) trains on the first four training files. Its encoder has 4×4 convolutions of stride 2 to
64 and 128 channels, a 3×3 convolution, and two residual blocks with 32 hidden channels; the decoder mirrors it. K = 512, D = 64, EMA with
decay 0.99, commitment 0.25, Adam at 3e-4, 10,000 steps of 32 pictures. The loss is the squared error over the variance of the data, plus
the quantizer's loss. Here our trainer trains the same model, and the 10,000 test images score it.
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
    """The first examples of a data set: the notebook omits the fifth training file."""

    def __init__(self, whole: Dataset, count: int) -> None:
        self.name, self.whole, self.count = f"{whole.name}-first-{count}", whole, count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: np.ndarray) -> Batch:
        return self.whole.batch(indices)


class Scores(NamedTuple):
    """The scores on the test images."""

    nmse: float
    """Squared error of the decoder's means, clipped to [0, 255] but not rounded, over the variance of the training data."""
    nmse_pixels: float
    """The same for rounded pixels."""
    perplexity: float
    """Mean over batches of 32."""
    perplexity_of_all: float
    codes_used: float


def settings(variance: float, arguments: argparse.Namespace) -> TrainConfig:
    """The notebook's settings in our terms; ``variance`` in squared pixel levels."""
    model = VQVAEConfig(
        quantizer=EMAQuantizerConfig(
            dim=64, codebook_size=CODES, start_from_data=not arguments.random_start, revive_after=arguments.revive_after
        ),
        # Per dimension, -log p contains squared error / (2 scale²). With this scale it is squared error / variance, as in the notebook.
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
    """The notebook's log p(x | z): the Gaussian's density. Our likelihood counts the mass over 256 levels instead, and black and white get
    the tails. At the notebook's scale of 45 levels, the two objectives differ for dark and bright pixels."""

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
    parser.add_argument("--data", help="the folder cifar-10-batches-bin, or its parent; if omitted, download the data")
    parser.add_argument("--out", type=Path, help="folder for sonnet-parity.md and .json, such as docs/results")
    parser.add_argument("--run", type=Path, help="run folder, to keep and resume it; default: a temporary one")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument(
        "--random-start", action="store_true", help="initialise the codebook at random, as the notebook does, not by k-means"
    )
    parser.add_argument("--revive-after", type=int, default=0, help="steps without a latent after which a code is replaced; 0: off")
    parser.add_argument("--discretised", action="store_true", help="train with our own likelihood instead of the plain squared error")
    parser.add_argument("--average-decay", type=float, default=0.0, help="decay of the running mean of weights that is scored; 0: off")
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
        # The run's own clock, which continues when an interrupted run resumes.
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
        average=f"; we score running means of our weights, with decay {arguments.average_decay}" if arguments.average_decay else "",
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
NMSE is the squared error over the variance of the training data ({variance:.5f} for pixels in [0, 1]). Ours is for the decoder's
means, clipped to black and white, on test images. The notebook prints means over its last 100 training batches.

The same in both: layers and widths, K = 512, D = 64, EMA decay 0.99, commitment 0.25, Adam at 3e-4, batches of 32, 40,000
training images (the same ones, if they are in the publisher's order), and the weight of the squared error relative to the commitment,
because the Gaussian's scale is √(variance / 2). Different: our Gaussian is counted over 256 levels, and the first and the last level get
the tails, so the mean of a black or white pixel may lie beyond it; the notebook has one more ReLU, after the encoder's 3×3
convolution; our initial weights are torch's defaults; our codebook {start}, and its idle codes stay where they are, while the
notebook's fall to the origin; our convolutions run in {dtype}{average}.
"""


if __name__ == "__main__":
    main()
