"""Scores and pictures of an image model on held-out data."""

import io
import math

import numpy as np
from PIL import Image

from vqvae.data import in_order
from vqvae.data.base import Batch, Dataset
from vqvae.data.loader import spread_indices
from vqvae.evaluation.base import Evaluation, bits_of_positions, coded_sizes, compression, log_priors, warnings_about
from vqvae.evaluation.images.frechet import Moments, TokenizerFeatures, frechet_score
from vqvae.evaluation.images.maps import code_maps, enlarged, error_maps, surprise_maps
from vqvae.evaluation.images.tokenizer import TokenizerEvaluation
from vqvae.pipeline import Pipeline
from vqvae.progress import tracked
from vqvae.reports.grids import grid, pair_grid

SHOWN, SHOWN_SAMPLES, SHOWN_CLASSES, SAMPLES, COLUMNS = 16, 32, 20, 256, 8
PACKED = 64
"""Number of held-out images that are stored as PNG, to compare sizes."""


def score_images(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score an image model. ``frechet_samples_…`` is the Fréchet distance of 256 samples, ``frechet_…`` that of the reconstructions."""
    extractor = TokenizerFeatures(pipeline.tokenizer)
    evaluation = TokenizerEvaluation(pipeline.tokenizer, log_priors=log_priors(pipeline), extractor=extractor)
    for batch in tracked(in_order(held_out, pipeline.batch_size), "scoring images", len(held_out), lambda batch: len(batch.x)):
        evaluation.add(batch.to(pipeline.device))
    missing = ("bits_per_dim_unigram", "bits_per_dim_learned", "bits_per_code", "bits_per_code_unigram")
    scores = {**dict.fromkeys(missing), **evaluation.scores()}
    shown = held_out.batch(spread_indices(held_out, SHOWN))
    pictures = {"reconstructions": pair_grid(shown.x, pipeline.reconstruct(shown.x), COLUMNS)}
    if pipeline.prior is not None:
        size = pipeline.size or tuple(shown.x.shape[2:])
        samples = pipeline.sample(SAMPLES, size=size)
        drawn = Moments()
        for part in samples.split(pipeline.batch_size):
            drawn.add(extractor(part.to(pipeline.device)))
        scores[f"frechet_samples_{extractor.name}"] = frechet_score(evaluation.moments[0], drawn)
        pictures["samples"] = class_rows(pipeline, size) if pipeline.is_conditional else grid(samples[:SHOWN_SAMPLES], COLUMNS)
    more, captions = maps(pipeline, shown.take(slice(COLUMNS)))
    worst = held_out.batch(evaluation.psnrs.argsort()[:COLUMNS].numpy()).x
    more["worst_cases"], error = error_maps(worst, pipeline.reconstruct(worst))
    captions["worst_cases"] = (
        f"The held-out images with the lowest PSNR, their reconstructions, and the error: black is 0, the brightest colour {error:.3g} "
        f"of {(pipeline.signal.levels or 2) - 1} levels."
    )
    sizes = coded_sizes(evaluation.costs.dims * math.log2(pipeline.signal.levels or 2), evaluation.costs.nats, len(held_out))
    counts = evaluation.costs.usage[0].counts
    return Evaluation(
        scores=scores | compression(sizes),
        counts=counts,
        pictures=pictures | more,
        captions=captions,
        sizes=sizes | png_size(held_out, pipeline.signal.levels or 2),
        classes=evaluation.scores_by_class(pipeline.label_names or held_out.label_names),
        warnings=warnings_about(pipeline, counts, len(held_out), "images"),
    )


def maps(pipeline: Pipeline, batch: Batch) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Maps of the codes of images and of what the codes cost, with their captions."""
    codes = pipeline.encode_batch(batch)
    pictures, captions = {"code_maps": code_maps(batch, codes, pipeline.layout)}, {}
    bits = bits_of_positions(pipeline, codes, batch.condition)
    if bits:
        pictures["surprise"], most = surprise_maps(batch, bits)
        captions["surprise"] = (
            f"Bits for the codes at each position: black is 0, the brightest colour {most:.3g} bits. Bright areas surprise the prior."
        )
    return pictures, captions


def png_size(held_out: Dataset, levels: int) -> dict[str, float]:
    """The mean size of 64 held-out images as PNG, in bytes. Empty for images of more than 256 levels."""
    if levels > 256:
        return {}
    images = held_out.batch(spread_indices(held_out, PACKED)).x.movedim(1, -1).numpy()
    total = 0
    for pixels in images:
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, format="PNG", optimize=True)
        total += file.tell()
    return {"PNG, lossless": total / len(images)}


def class_rows(pipeline: Pipeline, size: tuple[int, ...]) -> np.ndarray:
    """Eight samples of each class, one row per class. Of more than 20 classes, 20 at equal distances are shown."""
    names = [pipeline.label_names[i] for i in spread_indices(pipeline.label_names, SHOWN_CLASSES)]
    return enlarged({name: pipeline.sample(COLUMNS, label=name, size=size) for name in names})
