"""Scores and pictures of a model of any data on held-out examples: bits, codes used, squared error."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.bits import bits_per_dim
from vqvae.data import in_order
from vqvae.data.base import Batch, Dataset
from vqvae.data.loader import spread_indices
from vqvae.evaluation.arrays.drawings import Drawing, columns_of, draw, draw_error, draw_pairs
from vqvae.evaluation.base import Evaluation, coded_sizes, compression, log_priors, scores_by_label, warnings_about
from vqvae.evaluation.likelihood.costs import Costs
from vqvae.exact import exact
from vqvae.pipeline import Pipeline
from vqvae.progress import tracked


@torch.inference_mode()
def score_arrays(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score a model of any kind of data.

    Bits are those of ``Costs``. For floats, they are bits of a density and depend on the unit of the data. ``nmse`` is the squared error of
    the reconstruction divided by the variance of the data. ``rmse`` is the root of the mean squared error, in the unit of the data.
    """
    tokenizer = pipeline.tokenizer
    costs, error = Costs(tokenizer.layout, log_priors(pipeline)), SquaredError()
    labels: list[Tensor] = []
    bits: list[Tensor] = []
    for batch in tracked(in_order(held_out, pipeline.batch_size), "scoring", len(held_out), lambda batch: len(batch.x)):
        batch = batch.to(pipeline.device)
        codes = tokenizer.encode(batch)
        made = tokenizer.reconstruct(batch, codes)
        log_prior = costs.add(batch, codes, made.log_likelihood)
        error.add(batch, made.x)
        labels += [] if batch.condition.label is None else [batch.condition.label]
        if made.log_likelihood is not None and batch.mask is None:
            bits.append(bits_per_dim(-(log_prior + made.log_likelihood), batch.x[0].numel()))
    scores: dict[str, Any] = {**costs.scores(), **error.scores(), **costs.usage_scores(), "examples": costs.examples}
    counts, levels = costs.usage[0].counts, pipeline.signal.levels
    sizes = coded_sizes(costs.dims * (32 if levels is None else math.log2(levels)), costs.nats, costs.examples)
    drawings = drawings_of(pipeline, held_out, error)
    return Evaluation(
        scores=scores | compression(sizes),
        counts=counts,
        sizes=sizes,
        pictures={name: one.pixels for name, one in drawings.items() if one.pixels is not None},
        charts={name: one.chart for name, one in drawings.items() if one.chart is not None},
        captions={name: one.caption for name, one in drawings.items()},
        classes=scores_by_label(labels, pipeline.label_names or held_out.label_names, {"rmse": error.examples, "bits_per_dim": bits}),
        warnings=warnings_about(pipeline, counts, costs.examples, "examples"),
    )


def drawings_of(pipeline: Pipeline, held_out: Dataset, error: "SquaredError") -> dict[str, Drawing]:
    """Reconstructions, the worst cases, samples, and the error at each position. Empty for data without axes, or with more than three."""
    signal = pipeline.signal
    if not 1 <= len(signal.axes) <= 3:
        return {}
    size = tuple(held_out.batch(spread_indices(held_out, 1)).x.shape[2:])
    count = columns_of(signal, size)
    worst = torch.cat(error.examples).argsort(descending=True)[:count].cpu().numpy()
    drawings = {}
    for name, rows, title in (
        ("reconstructions", spread_indices(held_out, count), "Held-out examples and their reconstructions."),
        ("worst_cases", worst, "The held-out examples with the largest error, and their reconstructions."),
    ):
        x = held_out.batch(rows).x
        drawings[name] = draw_pairs(x, pipeline.reconstruct(x), signal, title)
    if error.positions is not None:
        drawings["error"] = draw_error(error.positions, signal, "Root mean squared error at each position, over all held-out examples.")
    if pipeline.prior is not None:
        made = pipeline.sample(count, size=pipeline.size or size)
        title = "New examples. The prior draws codes one after the other, and the decoder turns them into an example."
        drawings["samples"] = draw(made, signal, title)
    return drawings


class SquaredError:
    """The squared error of reconstructions, and the variance of the data, in float64. Masked positions do not count."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares, self._error = 0, 0.0, 0.0, 0.0
        self._by_position: Tensor | None = None
        self._at_position: Tensor | None = None
        self._has_positions = True
        self.examples: list[Float[Tensor, " _batch"]] = []
        """The root mean squared error of each example, batch by batch."""

    def add(self, batch: Batch, made: Tensor) -> None:
        """Add a batch and its reconstruction."""
        real, made, channels = exact(batch.x), exact(made), batch.x.shape[1]
        mask = torch.ones_like(real[:, 0], dtype=torch.bool) if batch.mask is None else batch.mask.to(real.device)
        zero = real.new_zeros(())
        real = torch.where(mask[:, None], real, zero)
        squared = torch.where(mask[:, None], (real - made).square(), zero).sum(1)
        counts = mask.flatten(1).sum(1) * channels
        self._count += int(counts.sum())
        self._sum += float(real.sum())
        self._squares += float(real.square().sum())
        self._error += float(squared.sum())
        self.examples.append((squared.flatten(1).sum(1) / counts.clamp(min=1)).sqrt().cpu())
        by, at = squared.sum(0).cpu(), (mask.sum(0) * channels).cpu()
        if self._by_position is None or self._at_position is None:
            self._by_position, self._at_position = by, at
        elif self._by_position.shape == by.shape:
            self._by_position, self._at_position = self._by_position + by, self._at_position + at
        else:
            self._has_positions = False

    @property
    def positions(self) -> Float[Tensor, "*space"] | None:
        """The root mean squared error at each position. None if the examples have several sizes, or there are none."""
        if self._by_position is None or self._at_position is None or not self._has_positions:
            return None
        return (self._by_position / self._at_position.clamp(min=1)).sqrt()

    def scores(self) -> dict[str, float]:
        """``rmse`` and ``nmse``; NaN if nothing was added or all values are equal."""
        if not self._count:
            return {"rmse": math.nan, "nmse": math.nan}
        variance = self._squares / self._count - (self._sum / self._count) ** 2
        error = self._error / self._count
        return {"rmse": math.sqrt(error), "nmse": error / variance if variance > 0 else math.nan}
