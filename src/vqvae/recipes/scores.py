"""What is found out about a trained model on held-out data, whatever its data is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from vqvae.data import in_order
from vqvae.data.base import Dataset
from vqvae.data.loader import spread_indices
from vqvae.evaluation.frechet import Moments, TokenizerFeatures, frechet_distance
from vqvae.evaluation.grids import grid, labelled_rows, pair_grid
from vqvae.evaluation.report import Sound
from vqvae.evaluation.tokenizer import TokenizerEvaluation
from vqvae.pipeline import Pipeline

SHOWN, SHOWN_SAMPLES, SAMPLES = 16, 32, 256


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is found out about a model."""

    scores: Mapping[str, Any]
    """Numbers by name; None for those that a missing prior is needed for."""
    counts: Tensor
    """How often each code occurs (codebooks, codebook_size)."""
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Of images: reconstructions, and samples where there is a prior. Of speech: spectrograms."""
    charts: Mapping[str, str] = field(default_factory=dict)
    """SVG pictures."""
    sounds: tuple[Sound, ...] = ()
    """Something to listen to."""


LogPrior = Callable[..., Tensor]
"""From codes, condition and mask to log p(codes | condition) in nats an example, of the codes that the mask leaves."""


def log_priors(pipeline: Pipeline) -> dict[str, LogPrior]:
    """The priors that a pipeline has, by the names of their scores."""
    priors: dict[str, LogPrior] = {}
    if pipeline.unigram is not None:
        priors["unigram"] = pipeline.unigram.log_prob
    if pipeline.prior is not None:
        priors["learned"] = pipeline.log_prior
    return priors


def score_images(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score a model of images; ``frechet_samples_…`` is the distance of 256 samples, ``frechet_…`` that of reconstructions."""
    extractor = TokenizerFeatures(pipeline.tokenizer)
    evaluation = TokenizerEvaluation(pipeline.tokenizer, log_priors=log_priors(pipeline), extractor=extractor)
    for batch in in_order(held_out, pipeline.batch_size):
        evaluation.add(batch.to(pipeline.device))
    missing = ("bits_per_dim_unigram", "bits_per_dim_learned", "bits_per_code", "bits_per_code_unigram")
    scores = {**dict.fromkeys(missing), **evaluation.scores()}
    shown = held_out.batch(spread_indices(held_out, SHOWN)).x
    pictures = {"reconstructions": pair_grid(shown, pipeline.reconstruct(shown), 8)}
    if pipeline.prior is not None:
        samples = pipeline.sample(SAMPLES)
        drawn = Moments()
        for part in samples.split(pipeline.batch_size):
            drawn.add(extractor(part.to(pipeline.device)))
        scores[f"frechet_samples_{extractor.name}"] = frechet_distance(evaluation.moments[0], drawn)
        pictures["samples"] = class_rows(pipeline) if pipeline.is_conditional else grid(samples[:SHOWN_SAMPLES], 8)
    return Evaluation(scores=scores, counts=evaluation.usage.counts, pictures=pictures)


def class_rows(pipeline: Pipeline) -> np.ndarray:
    """Eight samples of each class, a row a class."""
    return labelled_rows({name: pipeline.sample(8, label=name) for name in pipeline.label_names})
