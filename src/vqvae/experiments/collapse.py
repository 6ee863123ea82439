"""E5 [VQVAE §4.2]: a second stage whose decoder could ignore the latents, compared with a VAE of the same size.

RUN/collapse/
  vqvae/, vae/           second stages over the codes of RUN: three codes of 512, or a Gaussian, per image
  without-latents/       their decoder alone: a PixelCNN prior
  checkpoints/, metrics.jsonl
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vqvae import seeding
from vqvae.codes import Level, only_level
from vqvae.data.base import Batch, Dataset
from vqvae.data.loader import spread_indices
from vqvae.evaluation.likelihood.collapse import draw_latents, measure_collapse
from vqvae.experiments.base import Job, Scale
from vqvae.likelihoods import CategoricalCodesConfig
from vqvae.media.images import write_png
from vqvae.models import VAE, VQVAE, VAEConfig, VQVAEConfig
from vqvae.networks import CodesDecoderConfig, CodesEncoderConfig
from vqvae.pipeline import load
from vqvae.priors import PixelCNN, PixelCNNConfig
from vqvae.quantizers import ProductQuantizerConfig
from vqvae.recipes.base import cosine
from vqvae.reports.grids import labelled_rows
from vqvae.reports.results import in_words, this_command, write_results
from vqvae.runs.encoding import read_codes
from vqvae.runs.folder import stored_data, trained_seconds
from vqvae.runs.stages import train_part
from vqvae.training import TrainConfig
from vqvae.training.machine import pick_device

FOLDER = "collapse"
WITH_CODES, WITH_GAUSSIANS, WITHOUT = "vqvae", "vae", "without-latents"
LATENTS, DIM = 3, 192
SHOWN, DRAWS = 8, 3
NOTES = """![reconstructions]({name}-reconstructions.png)

Bits are per image; the codes can hold at most {bits}. `bits_without_latents` is the cost with the same decoder, trained without latents.
`bits_gained` is how many bits the latents save in comparison. `bits_lost_when_shuffled` is the extra cost with the latents of another
image. Latents without information are noise to their decoder, so it may be worse than a decoder without latents.
`vqvae.evaluation.likelihood.collapse.measure_collapse` explains the other rows. The picture shows held-out frames, their reconstructions
by the first stage, and {rows} draws from the latents of each second stage.

The paper says that its VQ-VAE uses the latents, while a VAE with such a decoder collapses; it gives no numbers. Both models here have the
same encoder, decoder, number of steps and learning rate. Neither is tuned to collapse or to avoid it."""


@dataclass(frozen=True, kw_only=True)
class CollapseSize:
    """The settings that the three trainings share."""

    layers: int
    """Layers of the PixelCNN."""
    hidden: int
    """Its channels."""
    kernel: int
    """Width of the PixelCNN's convolutions."""
    steps: int
    batch_size: int
    learning_rate: float


SIZES: dict[Scale, CollapseSize] = {
    "cpu": CollapseSize(layers=6, hidden=64, kernel=3, steps=5_000, batch_size=16, learning_rate=3e-3),
    "paper": CollapseSize(layers=16, hidden=128, kernel=5, steps=50_000, batch_size=128, learning_rate=1e-3),
}


def second_stages(level: Level, space: tuple[int, int], scale: Scale) -> dict[str, TrainConfig]:
    """The settings of the three trainings. They share the encoder, the decoder and everything else."""
    size, codebook = SIZES[scale], level.codebook_size
    stack = {"layers": size.layers, "hidden": size.hidden, "kernel": size.kernel, "codebook_size": codebook}
    parts = {
        "likelihood": CategoricalCodesConfig(codebook_size=codebook, channels=level.num_codebooks),
        "encoder": CodesEncoderConfig(codebook_size=codebook, space=space),
        "decoder": CodesDecoderConfig(space=space, **stack),
    }
    quantizer = ProductQuantizerConfig(dim=DIM, codebook_size=512, num_codebooks=LATENTS, revive_after=100)
    models = {
        WITH_CODES: VQVAEConfig(quantizer=quantizer, **parts),
        WITH_GAUSSIANS: VAEConfig(dim=DIM, **parts),
        WITHOUT: PixelCNNConfig(num_codebooks=level.num_codebooks, **stack),
    }
    optimizer = cosine(size.learning_rate)
    return {
        stage: TrainConfig(model=model, steps=size.steps, batch_size=size.batch_size, optimizer=optimizer)
        for stage, model in models.items()
    }


def reproduce_collapse(job: Job) -> dict[str, Any]:
    """E5: train the missing models over the codes of a run, score them, and write ``results/NAME.md``, ``NAME.json`` and a picture.

    Raises:
        VqvaeError: if there is no tokenizer, or the codes are from another one, or on an interruption. The same call resumes.
    """
    splits, pipeline = read_codes(job.run), load(job.run)
    level, (height, width) = only_level(pipeline.tokenizer.layout), splits.train.batch(np.arange(1)).x.shape[2:]
    configs = second_stages(level, (height, width), job.scale)
    models = {stage: train_part(config, splits, job.options, job.run / FOLDER, stage, recipe=FOLDER) for stage, config in configs.items()}
    began = time.perf_counter()
    device = pick_device(job.options.device)
    scores = {stage: score_latents(models[stage], models[WITHOUT], splits.held_out, device) for stage in (WITH_CODES, WITH_GAUSSIANS)}
    write_png(job.results / f"{job.name}-reconstructions.png", labelled_rows(reconstructed_by(job.run, models, splits.held_out, device)))
    measures = dict.fromkeys(("code_entropy", "kl_bits", *scores[WITH_CODES]))
    seconds = {stage: trained_seconds(job.run / FOLDER, stage) for stage in configs} | {"evaluation": time.perf_counter() - began}
    return write_results(
        job.results,
        job.name,
        title=job.title,
        command=this_command(),
        columns=("measure, on held-out data", "VQ-VAE", "Gaussian VAE"),
        rows=[(key, *(in_words(of.get(key)) for of in scores.values())) for key in measures],
        values={**scores, "steps_by_stage": {stage: config.steps for stage, config in configs.items()}, "seconds_by_stage": seconds},
        seconds=sum(seconds.values()),
        steps=sum(config.steps for config in configs.values()),
        notes=NOTES.format(name=job.name, bits=LATENTS * 9, rows=DRAWS),
        device=device,
    )


def score_latents(model: nn.Module, without: nn.Module, held_out: Dataset, device: torch.device) -> dict[str, float]:
    """How much a model uses its latents, compared with the decoder without latents."""
    assert isinstance(model, VQVAE | VAE) and isinstance(without, PixelCNN)
    return measure_collapse(model, held_out, without=lambda batch: without.log_prob(batch.x), device=device)


@torch.inference_mode()
def reconstructed_by(run: Path, models: Mapping[str, nn.Module], held_out: Dataset, device: torch.device) -> dict[str, Tensor]:
    """Held-out frames, and draws from their latents. Each second stage draws codes, and the first stage decodes them."""
    pipeline = load(run, device)
    chosen = spread_indices(held_out, SHOWN)
    batch = held_out.batch(chosen).to(device)
    rows = {"frame": stored_data(run).held_out.batch(chosen).x, "first stage": pipeline.decode(batch.x)}
    for name, stage in (("VQ-VAE", WITH_CODES), ("VAE", WITH_GAUSSIANS)):
        for number in range(1, DRAWS + 1):
            generator = seeding.generator(0, stage, number, device=device)
            rows[f"{name}, {number}"] = pipeline.decode(redraw(models[stage], batch, generator))
    return rows


def redraw(model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
    """Draw from the latents of a batch. Gaussian latents are drawn, too."""
    if isinstance(model, VQVAE):
        return model.decode(model.encode(batch), generator=generator, temperature=1.0)
    assert isinstance(model, VAE)
    return model.decode(draw_latents(model.posterior(batch), generator), generator=generator, temperature=1.0)
