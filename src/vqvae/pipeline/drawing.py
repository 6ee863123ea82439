"""Codes drawn from the priors of a pipeline, level by level, for one request or for several at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from vqvae.codes import Codes, space_of
from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.generation.sampling import Number, sample_numbered
from vqvae.layers.autoregressive import Choice
from vqvae.pipeline.base import TrainedParts

SAMPLED = 64
"""Samples that are drawn at once."""


@dataclass(frozen=True, kw_only=True)
class Draw:
    """Some samples to draw."""

    count: int
    seed: int = 0
    label: str | int | None = None
    """A class or a speaker by name or number. Without it, each sample's is drawn."""
    known: Codes | None = None
    """Known codes (1, codebooks, *space) of each level, and -1 for codes to draw. All samples keep them."""


class Drawn(NamedTuple):
    """Samples as codes."""

    codes: Codes
    labels: Int64[Tensor, " count"] | None
    """The class or the speaker of each sample."""
    size: tuple[int, ...]
    """The length of each axis of the data."""


class Plan(NamedTuple):
    """What the priors need to know about samples before they draw."""

    numbers: list[Number]
    labels: Int64[Tensor, " count"] | None
    spaces: list[tuple[int, ...]]
    """The space of each level."""
    known: list[Tensor | None]
    """The known codes of each level, one row per sample."""
    size: tuple[int, ...]


@torch.no_grad()
def draw_codes(model: TrainedParts, draws: Sequence[Draw], choice: Choice = Choice(), size: tuple[int, ...] | None = None) -> list[Drawn]:
    """Draw the codes of several requests together. The codes of each do not depend on the others.

    Args:
        model: the model.
        draws: what to draw.
        choice: how a code is chosen from its logits.
        size: the length of each axis of the data. Default: that of the training data.

    Raises:
        ConfigError: there is no prior, a label is unknown, or a number is out of range.
        DataError: the known codes do not fit the size.
    """
    plan = plan_of(model, draws, size)
    levels: list[Tensor] = []
    for prior, space, known in zip(model.priors, plan.spaces, plan.known, strict=True):
        condition = condition_of(model, plan, levels)
        codes = sample_numbered(prior, plan.numbers, space, condition=condition, prefix=known, choice=choice, batch_size=SAMPLED)
        levels.append(codes)
    found, first = [], 0
    for one in draws:
        rows = slice(first, first + one.count)
        found.append(Drawn(Codes(level[rows] for level in levels), None if plan.labels is None else plan.labels[rows], plan.size))
        first = rows.stop
    return found


def plan_of(model: TrainedParts, draws: Sequence[Draw], size: tuple[int, ...] | None) -> Plan:
    """The numbers, labels and known codes of all samples, in the order of the requests; see ``draw_codes``."""
    if not model.priors:
        raise ConfigError("This model has no prior yet, so it cannot sample. Train one: vqvae train-prior RUN")
    size = size or model.size
    if size is None:
        raise ConfigError(
            f"This model does not say how large its training data was; give a size: the length of {' and '.join(model.signal.axes)}."
        )
    labels = [model.draw_labels(one.count, one.label, one.seed) for one in draws]
    spaces = [space_of(size, level.stride, level.lead) for level in model.layout]
    return Plan(
        numbers=[Number(one.seed, i) for one in draws for i in range(one.count)],
        labels=None if any(of is None for of in labels) else torch.cat([of for of in labels if of is not None]),
        spaces=spaces,
        known=[_known(model, draws, level, space) for level, space in enumerate(spaces)],
        size=size,
    )


def condition_of(model: TrainedParts, plan: Plan, levels: Sequence[Tensor]) -> Condition:
    """What the prior of the next level is given: the labels, and the codes of the levels above."""
    return Condition(label=None if plan.labels is None else plan.labels.to(model.device), codes=tuple(levels))


def _known(model: TrainedParts, draws: Sequence[Draw], level: int, space: tuple[int, ...]) -> Tensor | None:
    """The known codes of a level, one row per sample. None if there are none."""
    if all(one.known is None for one in draws):
        return None
    shape = (model.layout[level].num_codebooks, *space)
    rows = []
    for one in draws:
        codes = torch.full((1, *shape), -1, dtype=torch.int64) if one.known is None else one.known[level]
        if tuple(codes.shape) != (1, *shape):
            raise DataError(f"The known codes have the shape {tuple(codes.shape[1:])}; this model draws {shape} codes.")
        rows.append(codes.expand(one.count, *shape))
    return torch.cat(rows).to(model.device)
