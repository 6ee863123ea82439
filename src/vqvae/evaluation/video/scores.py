"""Scores of a model of clips on held-out episodes."""

import math
from typing import Any

import torch
from torch import Tensor

from vqvae.data import in_order
from vqvae.data.base import Batch, Dataset
from vqvae.evaluation.base import Evaluation, coded_sizes, compression, log_priors, warnings_about
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.evaluation.likelihood.costs import LEARNED, Costs
from vqvae.evaluation.video.flicker import Flicker
from vqvae.evaluation.video.strips import shown
from vqvae.pipeline import Pipeline
from vqvae.progress import tracked


def score_video(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score a model of clips. Each held-out frame counts once.

    ``bits_per_frame_NAME`` is the cost of a frame's codes under each prior. ``psnr`` is the mean over frames, in dB. ``flicker`` is the
    mean change of the reconstruction where the original stands still, in levels; see ``Flicker``.
    """
    tokenizer, peak = pipeline.tokenizer, (pipeline.signal.levels or 2) - 1
    costs, flicker, decibels, frames = Costs(tokenizer.layout, log_priors(pipeline)), Flicker(), [], 0
    whole = held_out.apart()
    for batch in tracked(in_order(whole, 1), "scoring episodes", len(whole), lambda batch: len(batch.x)):
        x, made, there = scored(pipeline, batch, costs)
        decibels.append(psnr(x[there], made[there], peak))
        flicker.add(x[there], made[there])
        frames += int(there.sum())
    each = torch.cat(decibels)
    scores: dict[str, Any] = {"psnr": float(each.mean()), "flicker": flicker.mean, **costs.scores(), **costs.usage_scores()}
    for name, nats in costs.nats.items():
        scores["bits_per_frame" if name == LEARNED else f"bits_per_frame_{name}"] = nats / math.log(2) / frames
    counts = costs.usage[0].counts
    sizes = coded_sizes(costs.dims * math.log2(peak + 1), costs.nats, frames)
    found = shown(pipeline, held_out)
    return Evaluation(
        scores=scores | compression(sizes) | {"frames": frames},
        counts=counts,
        sizes=sizes,
        pictures=found.pictures,
        captions=found.captions,
        animations=found.animations,
        warnings=warnings_about(pipeline, counts, frames, "frames"),
    )


@torch.inference_mode()
def scored(pipeline: Pipeline, batch: Batch, costs: Costs) -> tuple[Tensor, Tensor, Tensor]:
    """Add an example to the costs. Returns its frames, their reconstructions (time, channels, height, width), and which have data."""
    batch = batch.to(pipeline.device)
    codes = pipeline.tokenizer.encode(batch)
    made = pipeline.tokenizer.reconstruct(batch, codes)
    costs.add(batch, codes, made.log_likelihood)
    there = torch.ones(batch.x.shape[2], dtype=torch.bool) if batch.mask is None else batch.mask[0].flatten(1).all(1).cpu()
    return batch.x[0].transpose(0, 1).cpu(), made.x[0].transpose(0, 1).cpu(), there
