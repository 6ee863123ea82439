"""Scores and pictures of an image model on held-out data."""

import numpy as np

from vqvae.data import in_order
from vqvae.data.base import Dataset
from vqvae.data.loader import spread_indices
from vqvae.evaluation.base import Evaluation, log_priors
from vqvae.evaluation.images.frechet import Moments, TokenizerFeatures, frechet_distance
from vqvae.evaluation.images.tokenizer import TokenizerEvaluation
from vqvae.pipeline import Pipeline
from vqvae.reports.grids import grid, labelled_rows, pair_grid

SHOWN, SHOWN_SAMPLES, SAMPLES = 16, 32, 256


def score_images(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score an image model. ``frechet_samples_…`` is the Fréchet distance of 256 samples, ``frechet_…`` that of the reconstructions."""
    extractor = TokenizerFeatures(pipeline.tokenizer)
    evaluation = TokenizerEvaluation(pipeline.tokenizer, log_priors=log_priors(pipeline), extractor=extractor)
    for batch in in_order(held_out, pipeline.batch_size):
        evaluation.add(batch.to(pipeline.device))
    missing = ("bits_per_dim_unigram", "bits_per_dim_learned", "bits_per_code", "bits_per_code_unigram")
    scores = {**dict.fromkeys(missing), **evaluation.scores()}
    shown = held_out.batch(spread_indices(held_out, SHOWN)).x
    pictures = {"reconstructions": pair_grid(shown, pipeline.reconstruct(shown), 8)}
    if pipeline.prior is not None:
        size = pipeline.size or tuple(shown.shape[2:])
        samples = pipeline.sample(SAMPLES, size=size)
        drawn = Moments()
        for part in samples.split(pipeline.batch_size):
            drawn.add(extractor(part.to(pipeline.device)))
        scores[f"frechet_samples_{extractor.name}"] = frechet_distance(evaluation.moments[0], drawn)
        pictures["samples"] = class_rows(pipeline, size) if pipeline.is_conditional else grid(samples[:SHOWN_SAMPLES], 8)
    return Evaluation(scores=scores, counts=evaluation.costs.usage[0].counts, pictures=pictures)


def class_rows(pipeline: Pipeline, size: tuple[int, ...]) -> np.ndarray:
    """Eight samples of each class, one row per class."""
    return labelled_rows({name: pipeline.sample(8, label=name, size=size) for name in pipeline.label_names})
