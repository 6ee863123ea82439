"""Scores and strips of a model of clips on held-out episodes."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqvae.data import in_order
from vqvae.data.base import Batch, Dataset
from vqvae.data.loader import spread_indices
from vqvae.evaluation.base import Evaluation, coded_sizes, compression, log_priors, warnings_about
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.evaluation.likelihood.costs import LEARNED, Costs
from vqvae.evaluation.video.flicker import Flicker
from vqvae.pipeline import Pipeline
from vqvae.progress import tracked
from vqvae.reports.grids import grid, labelled_rows

CONTEXT, IMAGINED = 6, 10
"""Frames that are known before imagination starts, and imagined frames, as in [VQVAE §4.4]."""
_SHOWN = 3
_COLUMNS = 8


def score_video(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score a model of clips. Each held-out frame counts once.

    ``bits_per_frame_NAME`` is the cost of a frame's codes under each prior. ``psnr`` is the mean over frames, in dB. ``flicker`` is how
    much the reconstruction changes where the original stands still, in levels; see ``Flicker``.
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
    pictures, captions = strips(pipeline, held_out)
    return Evaluation(
        scores=scores | compression(sizes) | {"frames": frames},
        counts=counts,
        sizes=sizes,
        pictures=pictures,
        captions=captions,
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


def strips(pipeline: Pipeline, held_out: Dataset) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Strips of frames: clips and their reconstructions and, with a prior, what the model imagines beside what followed."""
    whole = held_out.apart()
    batch = whole.batch(spread_indices(whole, _SHOWN))
    length = batch.x.shape[2]
    pictures, captions = {}, {}
    if batch.x.shape[1] not in (1, 3):
        return pictures, captions
    shown = min(_COLUMNS, length)
    clips = batch.x[:, :, :shown]
    rows = [one.transpose(0, 1) for pair in zip(clips, pipeline.reconstruct(clips), strict=True) for one in pair]
    pictures["reconstructions"] = grid(torch.cat(rows), shown)
    captions["reconstructions"] = "Held-out clips from left to right, each with its reconstruction below."
    context, steps = min(CONTEXT, length - 1), min(IMAGINED, length - CONTEXT)
    if pipeline.prior is None or not hasattr(pipeline.prior, "actions") or context < 1 or steps < 1:
        return pictures, captions
    known, follows = batch.x[:1, :, :context], batch.x[0, :, context : context + steps].transpose(0, 1)
    taken = batch.condition.actions
    named = {"what followed": follows}
    if pipeline.prior.actions and taken is not None:
        before = taken[:1, : context - 1]
        plans = {"same actions": taken[:1, context - 1 : context - 1 + steps]}
        plans |= {f"{name} held": torch.full((1, steps), number) for number, name in enumerate(held_out.action_names[:_COLUMNS])}
        named |= {title: pipeline.imagine(known, plan, before=before)[0].transpose(0, 1) for title, plan in plans.items()}
    else:
        named["imagined"] = pipeline.imagine(known, steps=steps)[0].transpose(0, 1)
    pictures["imagined"] = labelled_rows(named)
    captions["imagined"] = f"What the model imagines after {context} frames, from left to right, by the actions that it is given."
    return pictures, captions
