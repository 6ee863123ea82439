"""E11: ablations of a VQ-VAE, one setting changed at a time [VQVAE §3.2, §4.1].

RUN/
  base/, commitment_cost=0.1/, ...    one training each
  checkpoints/, metrics.jsonl
"""

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vqvae.codes import only_level
from vqvae.data import Cifar10Config
from vqvae.data.base import Dataset
from vqvae.data.loader import spread
from vqvae.evaluation.images.tokenizer import evaluate_tokenizer
from vqvae.experiments.base import Job, Scale
from vqvae.likelihoods import LogisticMixtureConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.priors import UnigramPrior, UnigramPriorConfig
from vqvae.quantizers import ProductQuantizer
from vqvae.recipes.base import codebooks, cosine, even
from vqvae.reports.charts import Series, save_line_chart
from vqvae.reports.results import this_command, write_results
from vqvae.runs.folder import trained_seconds
from vqvae.runs.stages import train_part
from vqvae.training import AdamConfig, TrainConfig
from vqvae.training.machine import pick_device

BATCH = 64
SCORES = ("bits_per_dim_reconstruction", "bits_per_dim_uniform", "bits_per_dim_unigram", "psnr", "perplexity", "codes_used")
SETTINGS = ("commitment_cost", "learning", "num_codebooks", "codebook_size")
NOTES = """![curve]({name}-curve.svg)

Each row changes one setting of `base`. `base` has {codebooks} codes of {codes} at each of 8×8 positions, commitment cost {cost},
codebooks updated by running means, and {steps} steps of {batch} images. `seed=1` has other initial weights and another order of the data,
so it differs only by chance. The likelihood is a mixture of logistics. Bits/dim are measured on {scored} test images: `reconstruction` is
−log₂ p(x|z) alone; `uniform` and `unigram` add the cost of the codes under that prior. The unigram prior has the frequencies of the codes
of {counted} training images.

The chart shows the bits of images and codes with the unigram prior, for each number of codes and each length of training. The best tested
numbers of codes per position are {best}."""


@dataclass(frozen=True, kw_only=True)
class AblationSize:
    """The settings that all trainings share."""

    width: int
    """Channels of every hidden layer."""
    steps: int
    other_steps: tuple[int, ...]
    """Steps of further trainings, shorter or longer, for each number of codebooks."""
    batch_size: int
    optimizer: AdamConfig
    num_codebooks: int
    """The number of codebooks in ``base``."""
    codebook_size: int = 512
    """The codebook size in ``base``."""
    commitment_costs: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0, 2.0)
    """The paper tried 0.1 to 2.0 [VQVAE §3.2]."""
    capacities: tuple[int, ...] = (1, 2, 4, 10)
    """The numbers of codebooks to compare."""
    codebook_sizes: tuple[int, ...] = (64, 512, 2048)
    scored: int
    """Number of held-out images to score, spread over the set."""
    counted: int
    """Number of training images for the unigram prior."""


SIZES: dict[Scale, AblationSize] = {
    "cpu": AblationSize(
        width=64,
        steps=1_200,
        other_steps=(150,),
        batch_size=32,
        optimizer=cosine(2e-3),
        num_codebooks=4,
        scored=1_000,
        counted=4_000,
    ),
    "paper": AblationSize(
        width=256,
        steps=25_000,
        other_steps=(250_000,),
        batch_size=128,
        optimizer=AdamConfig(learning_rate=2e-4),
        num_codebooks=10,
        scored=10_000,
        counted=50_000,
    ),
}


def settings(scale: Scale, path: str | None) -> dict[str, TrainConfig]:
    """The trainings, by the setting that each changes."""
    size = SIZES[scale]
    quantizer = codebooks(size.num_codebooks, size.codebook_size)
    model = VQVAEConfig(quantizer=quantizer, likelihood=LogisticMixtureConfig(channels=3), **even(size.width))
    base = TrainConfig(
        model=model,
        data=Cifar10Config(path=path),
        steps=size.steps,
        batch_size=size.batch_size,
        optimizer=size.optimizer,
        evaluate_every=0,
    )
    capacities = {f"num_codebooks={n}": {"num_codebooks": n, "dim": codebooks(n).dim} for n in size.capacities if n != size.num_codebooks}
    changes: dict[str, dict[str, Any]] = {
        **{f"commitment_cost={cost:g}": {"commitment_cost": cost} for cost in size.commitment_costs if cost != quantizer.commitment_cost},
        "learning=gradient": {"learning": "gradient"},
        **capacities,
        **{f"codebook_size={k}": {"codebook_size": k} for k in size.codebook_sizes if k != size.codebook_size},
    }
    changed = {
        name: dataclasses.replace(base, model=dataclasses.replace(model, quantizer=dataclasses.replace(quantizer, **fields)))
        for name, fields in changes.items()
    }
    alike = {"base": base, **changed, "seed=1": dataclasses.replace(base, seed=1)}
    others = {f"{name}, {n} steps": dataclasses.replace(alike[name], steps=n) for n in size.other_steps for name in ("base", *capacities)}
    return {**alike, **others}


def reproduce_ablations(job: Job) -> dict[str, Any]:
    """E11: train the missing models, score all on the same images, and write ``results/NAME.md``, ``NAME.json`` and ``NAME-curve.svg``.

    Raises:
        VqvaeError: if there is no data, or on an interruption. The same call resumes.
    """
    size, configs, device = SIZES[job.scale], settings(job.scale, job.data), pick_device(job.options.device)
    splits = Cifar10Config(path=job.data).build()
    models = {name: train_part(config, splits, job.options, job.run, name, recipe="ablations") for name, config in configs.items()}
    began = time.perf_counter()
    rows: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        rows[name] = {
            **score_ablation(model, splits.train, splits.held_out, size, device),
            "steps": configs[name].steps,
            "seed": configs[name].seed,
            "seconds": trained_seconds(job.run, name),
        }
    lines = {length: curve(rows, length) for length in sorted({size.steps, *size.other_steps})}
    series = [
        Series(f"{length} steps", [(row["num_codebooks"], row["bits_per_dim_unigram"]) for row in line]) for length, line in lines.items()
    ]
    save_line_chart(job.results / f"{job.name}-curve.svg", "bits/dim with the unigram prior, by codes per position", series)
    best = {length: min(line, key=lambda row: row["bits_per_dim_unigram"])["num_codebooks"] for length, line in lines.items()}
    return write_results(
        job.results,
        job.name,
        title=job.title,
        command=this_command(),
        columns=("setting", "reconstruction", "uniform", "unigram", "PSNR", "perplexity", "codes used", "seconds"),
        rows=[(name, *_cells(row)) for name, row in rows.items()],
        values=rows,
        seconds=sum(row["seconds"] for row in rows.values()) + time.perf_counter() - began,
        steps=sum(config.steps for config in configs.values()),
        notes=NOTES.format(
            name=job.name,
            codebooks=size.num_codebooks,
            codes=size.codebook_size,
            cost=rows["base"]["commitment_cost"],
            steps=size.steps,
            batch=size.batch_size,
            scored=size.scored,
            counted=size.counted,
            best=", ".join(f"{books} (after {length} steps)" for length, books in best.items()),
        ),
        device=device,
    )


def score_ablation(model: nn.Module, train: Dataset, held_out: Dataset, size: AblationSize, device: torch.device) -> dict[str, Any]:
    """Bits per dimension with the uniform and the unigram prior, PSNR and the use of the codes, together with the model's settings."""
    assert isinstance(model, VQVAE) and isinstance(model.quantizer, ProductQuantizer)
    unigram = count(model, train, size.counted, device)
    scores = evaluate_tokenizer(
        model,
        (batch.to(device) for batch in spread(held_out, size.scored, BATCH)),
        log_priors={"unigram": unigram.log_prob},
    )
    changeable = {field: getattr(model.quantizer.config, field) for field in SETTINGS}
    return {**{name: scores[name] for name in (*SCORES, "examples")}, **changeable}


@torch.inference_mode()
def count(model: VQVAE, train: Dataset, examples: int, device: torch.device) -> UnigramPrior:
    """The frequencies of a model's codes over some of its training data."""
    level = only_level(model.layout)
    unigram = UnigramPriorConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks).build().to(device)
    for batch in spread(train, examples, BATCH):
        unigram.count(model.encode(batch.to(device))[0])
    return unigram


def curve(rows: Mapping[str, Mapping[str, Any]], steps: int) -> list[Mapping[str, Any]]:
    """The rows with the given number of steps that differ from ``base`` only in the number of codebooks, sorted by it."""
    alike = [field for field in (*SETTINGS, "seed") if field != "num_codebooks"]
    found = [row for row in rows.values() if row["steps"] == steps and all(row[field] == rows["base"][field] for field in alike)]
    return sorted(found, key=lambda row: row["num_codebooks"])


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    digits = {**dict.fromkeys(SCORES[:3], 3), "psnr": 2, "perplexity": 0, "codes_used": 2, "seconds": 0}
    return (f"{row[name]:.{places}f}" for name, places in digits.items())
