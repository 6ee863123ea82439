"""What the report of a model of clips shows: strips of frames, and loops that play."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vqvae.data.base import Condition, Dataset
from vqvae.data.episodes import ClipsDataset
from vqvae.data.loader import spread_indices
from vqvae.data.rollouts import Rollouts
from vqvae.disk import safe_names
from vqvae.errors import VqvaeError
from vqvae.pipeline import Pipeline
from vqvae.reports.grids import grid, labelled_rows
from vqvae.reports.loops import RATE, Animation, animate, marked
from vqvae.words import counted

_log = logging.getLogger(__name__)

CONTEXT, IMAGINED = 6, 10
"""Frames that are known before imagination starts, and imagined frames, as in [VQVAE §4.4]."""
_CLIPS, _COLUMNS, _LOOPED, _ACTIONS = 3, 8, 24, 8
"""Clips that are reconstructed, their frames in a strip and in a loop, and actions that are held."""
_LONGEST_LABEL = 24
_BORDERS = "Real frames have a grey border, imagined ones an orange border."


class Shown(NamedTuple):
    """Pictures and rows of animations by name, and the captions of both."""

    pictures: Mapping[str, np.ndarray]
    captions: Mapping[str, str]
    animations: Mapping[str, Mapping[str, Animation]]


class _Future(NamedTuple):
    """Frames after the known ones, (time, channels, height, width)."""

    made: Tensor
    real: Tensor | None
    """None if unknown."""


def shown(pipeline: Pipeline, held_out: Dataset) -> Shown:
    """Held-out clips with their reconstructions and, with a prior over frames, imagined frames with those that really followed.

    With actions, each action is held for the imagined frames. If the data has an engine that can do the same, its frames are shown below.
    Only clips with 1 or 3 channels are shown.
    """
    whole = held_out.apart()
    indices = spread_indices(whole, _CLIPS)
    batch = whole.batch(indices)
    if batch.x.shape[1] not in (1, 3):
        return Shown({}, {}, {})
    lengths = [batch.x.shape[2]] * len(indices) if batch.mask is None else batch.mask.flatten(2).all(2).sum(1).tolist()
    first = _reconstructed(pipeline, [clip[:, :length] for clip, length in zip(batch.x, lengths, strict=True)])
    row = int(np.argmax(lengths))
    if pipeline.prior is None or not hasattr(pipeline.prior, "actions") or lengths[row] < 2:
        return first
    clip, condition = batch.x[row : row + 1, :, : lengths[row]], batch.condition.take(slice(row, row + 1))
    second = _imagined(pipeline, whole, int(indices[row]), clip, condition)
    return Shown({**first.pictures, **second.pictures}, {**first.captions, **second.captions}, {**first.animations, **second.animations})


def _reconstructed(pipeline: Pipeline, clips: Sequence[Tensor]) -> Shown:
    """Strips and loops of clips (channels, time, height, width), each above its reconstruction."""
    pairs = []
    for clip in clips:
        original = clip[None, :, :_LOOPED]
        pairs.append((original[0].transpose(0, 1), pipeline.reconstruct(original)[0].transpose(0, 1)))
    columns = min([_COLUMNS, *(len(one) for one, _ in pairs)])
    loops = {f"clip {number}": animate(torch.cat([marked(one, len(one)) for one in pair], 2)) for number, pair in enumerate(pairs, start=1)}
    strip = grid(torch.cat([one[:columns] for pair in pairs for one in pair]), columns)
    captions = {
        "reconstructions": "Frames of held-out clips from left to right. Below each clip is its reconstruction.",
        "moving_reconstructions": f"Held-out clips, each with its reconstruction below, at {RATE:g} frames per second.",
    }
    return Shown({"reconstructions": strip}, captions, {"moving_reconstructions": loops})


def _imagined(pipeline: Pipeline, whole: Dataset, index: int, clip: Tensor, condition: Condition) -> Shown:
    """Strips and loops of what comes after the first frames of a clip (1, channels, time, height, width)."""
    assert pipeline.prior is not None, "checked by shown"
    length = clip.shape[2]
    context = min(CONTEXT, length - 1)
    steps = min(IMAGINED, length - context)
    known, followed = clip[:, :, :context], clip[0, :, context : context + steps].transpose(0, 1)
    taken, futures, below = condition.actions, {}, "Below: what really followed."
    if pipeline.prior.actions and taken is not None:
        before = taken[:, : context - 1]
        plans = {"recorded actions": taken[:, context - 1 : context - 1 + steps]}
        real: dict[str, Tensor | None] = {"recorded actions": followed}
        # As in the paper's figure: "forward" on top, "right" at the bottom.
        held = sorted(whole.action_names[:_ACTIONS], key=lambda name: (name != "forward", name == "right"))
        engine = _engine(whole, index, context, held, steps)
        for label, name in zip(safe_names(name[:_LONGEST_LABEL] for name in held), held, strict=True):
            plans[label] = torch.full((1, steps), whole.action_names.index(name))
            real[label] = engine.get(name)
        futures = {
            label: _Future(pipeline.imagine(known, plan, before=before)[0].transpose(0, 1), real[label]) for label, plan in plans.items()
        }
        below = "Below: what really followed, with the recorded actions" + (", and in the engine, with the same action." if engine else ".")
    else:
        futures["imagined"] = _Future(pipeline.imagine(known, steps=steps)[0].transpose(0, 1), followed)
    return _drawn(known[0].transpose(0, 1), futures, below)


def _engine(whole: Dataset, index: int, context: int, actions: Sequence[str], steps: int) -> dict[str, Tensor]:
    """The engine's frames for each action, until it ends the episode. Empty without an engine, or if it fails."""
    if not isinstance(whole, ClipsDataset) or whole.episodes.engine is None:
        return {}
    number, first = whole.place(index)
    try:
        found: Rollouts = whole.episodes.engine([(number, first + context)], actions, steps)
    except (VqvaeError, OSError) as error:  # A report without these frames is better than none.
        _log.info("The report does not show the engine's frames: %s", error)
        return {}
    each = zip(actions, found.frames[0], found.lengths[0], strict=True)
    return {name: torch.from_numpy(np.array(frames[: int(length)])) for name, frames, length in each}


def _drawn(known: Tensor, futures: Mapping[str, _Future], below: str) -> Shown:
    rows: dict[str, Any] = {}
    loops = {}
    for name, (made, real) in futures.items():
        rows[name] = parts = marked(torch.cat([known, made]), len(known))
        if real is not None:
            frames = torch.cat([known, real])
            rows[f"{name}, real"] = truth = marked(frames, len(frames))
            # An episode that ends earlier stays at its last frame.
            last = truth[-1:].expand(len(parts) - len(truth), -1, -1, -1)
            parts = torch.cat([parts, torch.cat([truth, last])], 2)
        loops[name] = animate(parts)
    words = f"{counted(len(known), 'known frames')}, then {max(len(one.made) for one in futures.values())} imagined ones"
    words = f"{words}. {_BORDERS} {below}"
    captions = {"imagined": f"From left to right: {words}", "moving_imagination": f"{words} {RATE:g} frames per second."}
    return Shown({"imagined": labelled_rows(rows)}, captions, {"moving_imagination": loops})
