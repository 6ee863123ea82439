"""E1 [VQVAE §4.1]: bits per dimension of CIFAR-10 for a VAE, a VQ-VAE, VIMCO and Gumbel-softmax with one architecture.

RUN/
  tokenizer/, codes/, unigram/, prior/   the VQ-VAE and its priors (see vqvae.runs.stages)
  comparison/
    vae/, vimco/, gumbel/, ...           the others
    checkpoints/, metrics.jsonl
"""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from vqvae import seeding
from vqvae.bits import bits_per_dim
from vqvae.codes import Level
from vqvae.data import Cifar10Config
from vqvae.data.base import Batch
from vqvae.data.loader import spread
from vqvae.errors import CheckpointError
from vqvae.evaluation.images.tokenizer import evaluate_tokenizer
from vqvae.evaluation.likelihood.bounds import score_bound
from vqvae.evaluation.likelihood.marginal import sum_over_codes
from vqvae.exact import exact
from vqvae.experiments.base import Job, Scale
from vqvae.likelihoods import CategoricalConfig, LogisticMixtureConfig
from vqvae.models import VAE, VQVAE, GumbelSoftmaxConfig, LatentModel, ModelConfig, VAEConfig, VIMCOConfig, VQVAEConfig
from vqvae.pipeline import TOKENIZER, Pipeline, load
from vqvae.recipes.base import codebooks, cosine, even, pixelcnn
from vqvae.reports.results import this_command, write_results
from vqvae.runs.folder import read_metrics, stored_data, trained_seconds
from vqvae.runs.stages import train_part
from vqvae.training import AdamConfig, TrainConfig
from vqvae.training.machine import pick_device

FOLDER = "comparison"
PUBLISHED = {"vae": 4.51, "vqvae": 4.67, "vimco": 5.14}
BATCH, SUMMED = 64, 64
"""Images per batch, and number of grids of codes that estimate log Σ_z p(x|z) p(z) for the first batch."""
LABELS = {
    "vae": "VAE, Gaussian latents",
    "vqvae": "VQ-VAE, uniform prior",
    "vimco": "VIMCO, {samples} draws",
    "gumbel": "Gumbel-softmax",
    "vae-mixture": "VAE, mixture of logistics",
    "vqvae-mixture": "VQ-VAE, mixture of logistics, uniform prior",
}
NOTES = """Bits/dim are those of the lower bound on log p(x), computed without autocast. All rows score the same {scored} test
images, spread over the test set. `reconstruction` is −log₂ p(x|z). `latents` is the cost of the latents:

- VQ-VAE: N·log₂ K with the uniform prior, −log₂ p(z) of the codes with another prior
- VAE and Gumbel-softmax: KL(q(z|x) ‖ p(z))
- VIMCO: the difference between its bound and the weighted mean of log p(x|z) over its draws

VIMCO is scored by its bound with as many draws as in training, Gumbel-softmax by one draw of its codes, and the VAE by one draw and by
the bound with {samples}. All models have the same encoder, decoder, optimizer and likelihood (256 levels without an order; two extra rows
have a mixture of logistics). VQ-VAE, VIMCO and Gumbel-softmax have {num_codebooks} codes of 512 at each of 8×8 positions (the paper: 10).
The VAE has {gaussians} Gaussians at each position. The seconds are for training only.

The VQ-VAE trains in bfloat16 if the hardware gains from it. Its bound is {bits_per_dim_bfloat16:.4f} bits/dim in bfloat16 and
{bits_per_dim:.4f} without autocast. The sum over other codes, log Σ p(x|z) p(z) instead of the one term of the encoder's codes, is
estimated with {summed} other grids per image, for {images} images. It gains {bits_per_dim_gained_by_sum:.6f} bits/dim."""


@dataclass(frozen=True, kw_only=True)
class ComparisonSize:
    """The settings that the trainings share."""

    width: int
    """Channels of every hidden layer."""
    num_codebooks: int
    """Codes at each of the 8×8 positions."""
    gaussians: int
    """The VAE's latents at each position. More latents carry more information, but in a short training, unused latents add noise."""
    steps: int
    batch_size: int
    optimizer: AdamConfig
    compile: bool = False
    """Whether to compile the models with torch.compile. It takes a minute, which pays off only in a long training."""
    samples: int
    """k of VIMCO, in training and in its bound, and of the VAE's importance-weighted bound."""
    more_samples: int
    """k of a second VIMCO, trained for ``fewer_steps``. 0: none."""
    fewer_steps: int
    evaluate_every: int
    scored: int
    """Number of held-out images per row, spread over the set."""
    layers: int
    """Layers of the prior."""
    hidden: int
    """Its channels."""
    prior_steps: int
    prior_optimizer: AdamConfig


SIZES: dict[Scale, ComparisonSize] = {
    "cpu": ComparisonSize(
        width=64,
        num_codebooks=4,
        gaussians=16,
        steps=500,
        batch_size=32,
        optimizer=cosine(2e-3),
        samples=10,
        more_samples=50,
        fewer_steps=500,
        evaluate_every=0,
        scored=1_000,
        layers=6,
        hidden=64,
        prior_steps=2_000,
        prior_optimizer=cosine(2e-3),
    ),
    "paper": ComparisonSize(
        width=256,
        num_codebooks=10,
        gaussians=64,
        steps=250_000,
        batch_size=128,
        optimizer=AdamConfig(learning_rate=2e-4),
        compile=True,
        samples=50,
        more_samples=0,
        fewer_steps=0,
        evaluate_every=5_000,
        scored=10_000,
        layers=12,
        hidden=128,
        prior_steps=100_000,
        prior_optimizer=cosine(5e-4, warmup_steps=500),
    ),
}


def tokenizer(scale: Scale, path: str | None) -> TrainConfig:
    """The VQ-VAE on CIFAR-10."""
    size = SIZES[scale]
    model = VQVAEConfig(quantizer=codebooks(size.num_codebooks), **_parts(size))
    return _training(size, model, data=Cifar10Config(path=path))


def prior(scale: Scale, level: Level, classes: int) -> TrainConfig:
    """The prior over its codes, without classes: bits per dimension of CIFAR-10 are unconditional."""
    size = SIZES[scale]
    return TrainConfig(
        model=pixelcnn(level, layers=size.layers, hidden=size.hidden, kernel=3),
        steps=size.prior_steps,
        batch_size=size.batch_size,
        optimizer=size.prior_optimizer,
        evaluate_every=size.prior_steps // 3,
    )


def others(scale: Scale) -> dict[str, TrainConfig]:
    """The other models, by name. Network, likelihood and training are those of the VQ-VAE, unless the name says otherwise."""
    size = SIZES[scale]
    parts: dict[str, Any] = _parts(size)
    mixture: dict[str, Any] = {**parts, "likelihood": LogisticMixtureConfig(channels=3)}
    quantizer = codebooks(size.num_codebooks)
    codes = {name: getattr(quantizer, name) for name in ("codebook_size", "num_codebooks", "dim")}
    vimco = VIMCOConfig(samples=size.samples, resampled=1, **codes, **parts)
    models = {
        "vae": VAEConfig(dim=size.gaussians, **parts),
        "gumbel": GumbelSoftmaxConfig(anneal_steps=size.steps, end_temperature=0.5, **codes, **parts),
        "vae-mixture": VAEConfig(dim=size.gaussians, **mixture),
        "vqvae-mixture": VQVAEConfig(quantizer=quantizer, **mixture),
        "vimco": vimco,
    }
    configs = {stage: _training(size, model) for stage, model in models.items()}
    if size.more_samples:
        many = dataclasses.replace(vimco, samples=size.more_samples)
        configs[f"vimco-{size.more_samples}"] = _training(size, many, steps=size.fewer_steps)
    return configs


def reproduce_comparison(job: Job) -> dict[str, Any]:
    """E1: train the other models that are missing, score all on the same images, and write ``results/NAME.md`` and ``NAME.json``.

    Raises:
        VqvaeError: if there is no VQ-VAE with a prior, or its data is missing, or on an interruption. The same call resumes.
    """
    size, configs, device = SIZES[job.scale], others(job.scale), pick_device(job.options.device)
    splits, pipeline = stored_data(job.run), load(job.run, device)
    if pipeline.prior is None or pipeline.unigram is None:
        raise CheckpointError(f"{job.run} has no prior, but the table shows the prior's bits. Train it: vqvae reproduce e1")
    models = {stage: train_part(config, splits, job.options, job.run / FOLDER, stage, recipe=FOLDER) for stage, config in configs.items()}
    began = time.perf_counter()
    held_out = list(spread(splits.held_out, size.scored, BATCH))
    rows = {"vqvae": score_vqvae(pipeline, held_out, device)}
    rows |= {stage: score_model(model, held_out, size.samples, device) for stage, model in models.items()}
    seconds = {"vqvae": trained_seconds(job.run, TOKENIZER), **{stage: trained_seconds(job.run / FOLDER, stage) for stage in configs}}
    steps = {"vqvae": size.steps, **{stage: config.steps for stage, config in configs.items()}}
    for stage, row in rows.items():
        row |= {"published": PUBLISHED.get(stage), "steps": steps[stage], "seconds": seconds[stage]}
    seconds |= {stage: read_metrics(job.run)["seconds_by_stage"][stage] for stage in ("data", "codes", "prior")}
    seconds["evaluation"] = time.perf_counter() - began
    return write_results(
        job.results,
        job.name,
        title=job.title,
        command=this_command(),
        columns=("model", "bits/dim published", "ours", "± standard error", "reconstruction", "latents", "steps", "seconds"),
        rows=[_cells(label, row) for label, row in _labelled(rows, size)],
        values={**rows, "seconds_by_stage": seconds},
        seconds=sum(seconds.values()),
        steps=sum(steps.values()) + size.prior_steps,
        notes=NOTES.format(
            scored=rows["vqvae"]["examples"],
            images=len(held_out[0].x),
            samples=size.samples,
            summed=SUMMED,
            num_codebooks=size.num_codebooks,
            gaussians=size.gaussians,
            **rows["vqvae"],
        ),
        device=device,
    )


def score_model(model: nn.Module, held_out: Sequence[Batch], samples: int, device: torch.device) -> dict[str, Any]:
    """The row of a model, by its own bound. A VAE also has the bound with ``samples`` draws."""
    assert isinstance(model, LatentModel)
    row: dict[str, Any] = score_bound(model.bound, held_out, device=device)
    if isinstance(model, VAE):
        tighter = score_bound(partial(model.importance_bound, samples=samples), held_out, device=device)
        row |= {f"bits_per_dim_{samples}_samples": tighter["bits_per_dim"]}
    return row


def score_vqvae(pipeline: Pipeline, held_out: Sequence[Batch], device: torch.device) -> dict[str, Any]:
    """The row of a VQ-VAE: its bound with each of its priors, its bound in bfloat16, and the gain of the sum over other codes."""
    model, unigram, prior = pipeline.tokenizer, pipeline.unigram, pipeline.prior
    assert isinstance(model, VQVAE) and unigram is not None and prior is not None
    row: dict[str, Any] = score_bound(model.bound, held_out, device=device)
    # Without the label: the prior was not trained with labels.
    priors = {"unigram": unigram.log_prob, "learned": prior.log_prob}
    scores = evaluate_tokenizer(model, (batch.to(device) for batch in held_out), log_priors=priors)
    row |= {f"bits_per_dim_{name}": scores[f"bits_per_dim_{name}"] for name in priors}
    with torch.autocast(device.type, dtype=torch.bfloat16):
        row["bits_per_dim_bfloat16"] = score_bound(model.bound, held_out, device=device)["bits_per_dim"]
    batch = held_out[0].to(device)
    found = sum_over_codes(model, batch, samples=SUMMED, generator=seeding.generator(0, "summed", device=device))
    gained = bits_per_dim(exact(found.total - found.own), batch.x[0].numel())
    return {**row, "bits_per_dim_gained_by_sum": float(gained.mean())}


def _labelled(rows: Mapping[str, Mapping[str, Any]], size: ComparisonSize) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The lines of the table. A model has one line for each prior and each number of draws."""
    labels = {**LABELS, f"vimco-{size.more_samples}": f"VIMCO, {size.more_samples} draws"}
    for stage, row in rows.items():
        yield labels[stage].format(samples=size.samples), row
        for prior in ("unigram", "learned"):
            if f"bits_per_dim_{prior}" in row:
                total = row[f"bits_per_dim_{prior}"]
                latents = total - row["bits_per_dim_reconstruction"]
                yield f"– with the {prior} prior", {"bits_per_dim": total, "bits_per_dim_latents": latents}
        if f"bits_per_dim_{size.samples}_samples" in row:
            yield f"– by the bound with {size.samples} draws", {"bits_per_dim": row[f"bits_per_dim_{size.samples}_samples"]}


def _cells(label: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    digits = dict.fromkeys(("bits_per_dim", "standard_error", "bits_per_dim_reconstruction", "bits_per_dim_latents"), 3)
    shown = {"published": 2, **digits, "steps": 0, "seconds": 0}
    return (label, *("" if row.get(key) is None else f"{row[key]:.{count}f}" for key, count in shown.items()))


def _training(size: ComparisonSize, model: ModelConfig, **changes: Any) -> TrainConfig:
    """The training settings that all models share."""
    shared: dict[str, Any] = {
        "steps": size.steps,
        "batch_size": size.batch_size,
        "optimizer": size.optimizer,
        "compile": size.compile,
        "evaluate_every": size.evaluate_every,
    }
    return TrainConfig(model=model, **{**shared, **changes})


def _parts(size: ComparisonSize) -> dict[str, Any]:
    return {"likelihood": CategoricalConfig(channels=3), **even(size.width)}
