"""The result of scoring a trained model on held-out data of any kind."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.codes import Codes, LogPrior
from vqvae.data.base import Condition
from vqvae.pipeline import Pipeline
from vqvae.reports.loops import Animation
from vqvae.reports.sounds import Row
from vqvae.words import counted

FEW = 100
"""Scores over fewer examples come with a warning."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of a model, and what its report shows."""

    scores: Mapping[str, Any]
    """Numbers by name. None if a score needs a prior that is missing."""
    counts: Tensor
    """How often each code occurs (codebooks, codebook_size)."""
    pictures: Mapping[str, np.ndarray] = field(default_factory=dict)
    """uint8 arrays (height, width, 3)."""
    captions: Mapping[str, str] = field(default_factory=dict)
    """Captions of pictures and of rows of animations, by their names."""
    animations: Mapping[str, Mapping[str, Animation]] = field(default_factory=dict)
    """Rows of animations to compare: animations by their names, by the name of the row."""
    charts: Mapping[str, str] = field(default_factory=dict)
    """SVG pictures."""
    only_files: frozenset[str] = frozenset()
    """Pictures and charts that become files, but are not in the report."""
    sounds: tuple[Row, ...] = ()
    """Rows of sounds to compare."""
    sizes: Mapping[str, float] = field(default_factory=dict)
    """Mean size of an example, or of a second of sound, in bytes: raw, compressed without loss, and as codes."""
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Scores of each class or speaker, by name."""
    grouped_by: str = "class"
    """What ``classes`` are: "class" or "speaker"."""
    warnings: tuple[str, ...] = ()
    """Why some scores may mislead."""


def log_priors(pipeline: Pipeline) -> dict[str, LogPrior]:
    """The priors of a pipeline, by the names of their scores."""
    priors: dict[str, LogPrior] = {}
    if pipeline.unigram is not None and len(pipeline.layout) == 1:
        priors["unigram"] = pipeline.unigram.log_prob
    if pipeline.prior is not None:
        priors["learned"] = pipeline.log_prior
    return priors


@torch.no_grad()
def bits_of_positions(pipeline: Pipeline, codes: Codes, condition: Condition) -> list[Float[Tensor, "n ..."]]:
    """The cost in bits of the codes at each position under the learned priors, one tensor per level. Empty if there is no learned prior, or
    if it needs a label that is missing."""
    if not pipeline.priors or (pipeline.is_conditional and condition.label is None):
        return []
    codes, condition, found = codes.to(pipeline.device), condition.to(pipeline.device), []
    for number, (prior, level) in enumerate(zip(pipeline.priors, codes, strict=True)):
        nats = -prior.code_log_probs(level, condition._replace(codes=tuple(codes[:number])))
        found.append(nats.sum(1).cpu() / math.log(2))
    return found


def scores_by_label(labels: Sequence[Tensor], names: Sequence[str], scores: Mapping[str, Sequence[Tensor]]) -> dict[str, dict[str, float]]:
    """The number of examples and the mean scores of each class that has examples. Empty without labels.

    Args:
        labels: the label of each example, batch by batch.
        names: the names of the classes, by their numbers.
        scores: the score of each example, batch by batch, by the name of the score. Scores without values are left out.
    """
    if not labels:
        return {}
    joined = {name: torch.cat(list(one)).cpu() for name, one in scores.items() if one}
    label, found = torch.cat(list(labels)).cpu(), {}
    if any(len(one) != len(label) for one in joined.values()):
        return {}
    for number, name in enumerate(names):
        rows = label == number
        if rows.any():
            found[name] = {"examples": int(rows.sum()), **{score: float(one[rows].mean()) for score, one in joined.items()}}
    return found


def coded_sizes(raw_bits: float, nats: Mapping[str, float], amount: float) -> dict[str, float]:
    """Mean sizes in bytes, for ``Evaluation.sizes``.

    Args:
        raw_bits: the size of all data, in bits.
        nats: the cost of all codes under each prior, in nats.
        amount: the number of examples, or of seconds of sound.
    """
    bits = {"raw": raw_bits} | {
        "codes, fixed length" if name == "uniform" else f"codes, {name} prior": cost / math.log(2) for name, cost in nats.items()
    }
    return {name: count / 8 / amount for name, count in bits.items()}


def compression(sizes: Mapping[str, float]) -> dict[str, float]:
    """``compression_ratio``: the raw size divided by the smallest size of the codes. Empty if there are no codes to count."""
    smallest = min((size for name, size in sizes.items() if name.startswith("codes")), default=0.0)
    return {"compression_ratio": sizes["raw"] / smallest} if smallest > 0 else {}


def warnings_about(pipeline: Pipeline, counts: Tensor, examples: int, of: str) -> tuple[str, ...]:
    """Sentences about scores that may mislead.

    Args:
        pipeline: the scored model.
        counts: how often each code occurs (codebooks, codebook_size) in the held-out data.
        examples: the number of held-out examples.
        of: what an example is called, in the plural.
    """
    found, size = [], counts.shape[1]
    if examples < FEW:
        few = counted(examples, f"held-out {of}")
        found.append(f"The scores come from only {few}. With fewer than {FEW}, they depend on the choice of {of}.")
    held_out = int(counts[0].sum())
    trained = None if pipeline.unigram is None else int(pipeline.unigram.counts[0].sum())
    if trained is not None and trained < size:
        found.append(f"The training data has {trained} codes, fewer than the {size} in the codebook. Use a smaller codebook or more data.")
    if held_out < size:
        found.append(f"The held-out data has {held_out} codes, so at most {held_out / size:.0%} of the {size} in the codebook can occur.")
    return tuple(found)
