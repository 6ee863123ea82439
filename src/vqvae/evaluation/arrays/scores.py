"""Scores of a model of any data on held-out examples: bits, codes used, squared error."""

import math
from typing import Any

import torch
from torch import Tensor

from vqvae.data import in_order
from vqvae.data.base import Batch, Dataset
from vqvae.evaluation.base import Evaluation, coded_sizes, compression, log_priors, warnings_about
from vqvae.evaluation.likelihood.costs import Costs
from vqvae.exact import exact
from vqvae.pipeline import Pipeline
from vqvae.progress import tracked


@torch.inference_mode()
def score_arrays(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score a model of any kind of data.

    Bits are those of ``Costs``. For floats they are bits of a density and depend on the data's unit. ``nmse`` is the squared error of the
    reconstruction over the variance of the data; ``rmse`` is the root of the squared error, in the unit of the data.
    """
    tokenizer = pipeline.tokenizer
    costs, error = Costs(tokenizer.layout, log_priors(pipeline)), SquaredError()
    for batch in tracked(in_order(held_out, pipeline.batch_size), "scoring", len(held_out), lambda batch: len(batch.x)):
        batch = batch.to(pipeline.device)
        codes = tokenizer.encode(batch)
        made = tokenizer.reconstruct(batch, codes)
        costs.add(batch, codes, made.log_likelihood)
        error.add(batch, made.x)
    scores: dict[str, Any] = {**costs.scores(), **error.scores(), **costs.usage_scores(), "examples": costs.examples}
    counts, levels = costs.usage[0].counts, pipeline.signal.levels
    sizes = coded_sizes(costs.dims * (32 if levels is None else math.log2(levels)), costs.nats, costs.examples)
    warnings = warnings_about(pipeline, counts, costs.examples, "examples")
    return Evaluation(scores=scores | compression(sizes), counts=counts, sizes=sizes, warnings=warnings)


class SquaredError:
    """The squared error of reconstructions beside the variance of their data, in float64. Masked positions do not count."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares, self._error = 0, 0.0, 0.0, 0.0

    def add(self, batch: Batch, made: Tensor) -> None:
        """Add a batch and its reconstruction."""
        real, made = exact(batch.x), exact(made)
        if batch.mask is not None:
            real, made = (x.movedim(1, -1)[batch.mask.to(x.device)] for x in (real, made))
        self._count += real.numel()
        self._sum += float(real.sum())
        self._squares += float(real.square().sum())
        self._error += float((real - made).square().sum())

    def scores(self) -> dict[str, float]:
        """``rmse`` and ``nmse``; NaN if nothing was added or all values are equal."""
        if not self._count:
            return {"rmse": math.nan, "nmse": math.nan}
        variance = self._squares / self._count - (self._sum / self._count) ** 2
        error = self._error / self._count
        return {"rmse": math.sqrt(error), "nmse": error / variance if variance > 0 else math.nan}
