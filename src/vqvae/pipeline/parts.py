"""What a pipeline asks of its parts: whether they fit, what codes cost, and what they are in words."""

import math
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from vqvae.codes import Codes, Level
from vqvae.config import shown
from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.generation.imagination import Actions, action_numbers
from vqvae.models import Tokenizer
from vqvae.priors import Prior, SamplingPrior, UnigramPrior
from vqvae.signals import as_tensor
from vqvae.storage import RunCard

_USUAL = 2**16
"""Positions of an example, 256 × 256, up to which a batch is full."""


def mixture_log_prob(
    prior: SamplingPrior,
    codes: Int64[Tensor, "n codebooks *space"],
    mask: Bool[Tensor, "n *space"] | None = None,
    condition: Condition = Condition(),
) -> Float[Tensor, " n"]:
    """log Σ_c p(codes | c) / classes: a class-conditional prior where the class is not known, in nats an example."""
    labels = (codes.new_full((len(codes),), label) for label in range(prior.classes))
    given = [prior.log_prob(codes, condition._replace(label=label), mask) for label in labels]
    return torch.stack(given).logsumexp(0) - math.log(prior.classes)


def check_fit(tokenizer: Tokenizer, priors: Sequence[Prior], unigram: UnigramPrior | None) -> None:
    """Raise ConfigError unless these are parts of a pipeline, with no prior, or one a level, each of as many codes."""
    given = [(tokenizer, Tokenizer), *((prior, Prior) for prior in priors), *([] if unigram is None else [(unigram, UnigramPrior)])]
    for part, kind in given:
        if not isinstance(part, kind):
            raise ConfigError(f"A {type(part).__name__} came as part of a pipeline, where a {kind.__name__} is expected.")
    if priors and len(priors) != len(tokenizer.layout):
        raise ConfigError(f"The tokenizer has {len(tokenizer.layout)} levels of codes, and {len(priors)} priors came; give one a level.")
    for part, level in [*zip(priors, tokenizer.layout, strict=False), *zip((unigram,), tokenizer.layout, strict=False)]:
        if part is not None and (part.num_codebooks, part.codebook_size) != (level.num_codebooks, level.codebook_size):
            raise ConfigError(
                f"The tokenizer has {level.num_codebooks} codebooks of {level.codebook_size} codes, the {type(part).__name__} "
                f"{part.num_codebooks} of {part.codebook_size}. Take a prior that was trained on this tokenizer's codes."
            )


def log_prob(prior: SamplingPrior, codes: Tensor, condition: Condition, mask: Tensor | None) -> Float[Tensor, " n"]:
    """log p(codes | condition) in nats an example; the mixture of the classes if no label is given."""
    if prior.classes and condition.label is None:
        return mixture_log_prob(prior, codes, mask, condition)
    return prior.log_prob(codes, condition, mask)


def describe(tokenizer: Tokenizer, priors: Sequence[Prior], card: RunCard, device: torch.device) -> str:
    """A pipeline in a few readable lines: kind of data, size, codes, priors, parameters, device and recipe."""
    signal = tokenizer.signal if card.signal is None else card.signal
    millions = sum(p.numel() for part in (tokenizer, *priors) for p in part.parameters()) / 1e6
    size = "" if card.size is None else f", trained at {' x '.join(map(str, card.size))}"
    rate = "" if signal.sample_rate is None else f", {signal.sample_rate:g} Hz"
    lines = [f"{type(tokenizer).__name__} of {signal.shape()}, {signal.values()}{size}{rate}"]
    for level in card.layout:
        lines += [f"codes: {level.num_codebooks} of {level.codebook_size} for every {' x '.join(map(str, level.stride))} positions"]
    lines += [f"prior: {', '.join(type(part).__name__ for part in priors) or 'none'}", f"{millions:.2f} million parameters on {device}"]
    lines += [f"recipe: {card.recipe}"] if card.recipe else []
    return "Pipeline(\n  " + "\n  ".join(lines) + "\n)"


def batches(count: int, at_once: int, size: tuple[int, ...] = ()) -> Iterator[slice]:
    """The rows of ``count`` examples in batches of ``at_once``, or fewer if examples are larger than 256 × 256 positions. If there are no
    examples, there is one empty batch."""
    each = max(1, at_once * _USUAL // max(math.prod(size), _USUAL)) if len(size) > 1 else at_once
    return (slice(first, min(first + each, count)) for first in range(0, max(count, 1), each))


def codes_of(codes: Tensor | np.ndarray | tuple[Tensor | np.ndarray, ...], layout: Sequence[Level]) -> Codes:
    """Codes of a batch, as ``Pipeline.decode`` takes them: also as arrays, and without a batch axis.

    Raises:
        DataError: if the number of levels is wrong.
    """
    if isinstance(codes, Codes):
        return codes
    levels = tuple(as_tensor(one) for one in (codes if isinstance(codes, tuple | list) else (codes,)))
    if len(levels) != len(layout):
        raise DataError(f"{len(levels)} levels of codes came; this tokenizer has {len(layout)}. Give one tensor a level.")
    axes = [len(level.stride) + 1 for level in layout]
    return Codes(one[None] if one.ndim == wanted else one for one, wanted in zip(levels, axes, strict=True))


def check_actions(prior: nn.Module, level: Level) -> None:
    """Raise ConfigError if a prior takes an action per frame, and a code stands for several frames."""
    if getattr(prior, "actions", 0) and level.stride[0] > 1:
        raise ConfigError(
            f"The prior takes an action per frame, but a code stands for {level.stride[0]} frames. Train a prior without actions "
            "(--model.actions 0), or a tokenizer with one frame per code (--model.encoder.time-stride 1 --model.decoder.time-stride 1)."
        )


def whole_codes(x: Tensor, level: Level) -> Tensor:
    """The last frames of clips (clips, channels, time, *axes), as many as codes without padding cover; see ``Level``."""
    step, lead = level.stride[0], (*level.lead, 0)[0]
    return x[:, :, -((x.shape[2] + lead) // step * step - lead) :]


def check_frames(clips: Tensor, size: tuple[int, ...] | None, where: str = "frames") -> None:
    """Raise DataError unless clips (clips, channels, time, height, width) have a frame, and frames of the size (time, height, width)."""
    if not clips.shape[2]:
        raise DataError(f"{where} has no frames. Give at least one known frame.")
    if size is not None and tuple(clips.shape[3:]) != size[1:]:
        wanted, found = (" x ".join(map(str, pixels)) for pixels in (size[1:], tuple(clips.shape[3:])))
        raise DataError(f"{where} has frames of {found} pixels; this model was trained on {wanted}. Resize the video.")


def names_of_actions(count: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of so many actions. Without names that fit, actions go by their numbers."""
    return names if len(names) == count else tuple(map(str, range(count)))


class Continuation(NamedTuple):
    """What ``Pipeline.imagine`` draws."""

    steps: int
    """Frames to draw."""
    actions: Int64[Tensor, "clips transitions"] | None
    """The action at each known and drawn frame but the last; None without actions."""


def continuation(
    prior: Prior | None, level: Level, names: tuple[str, ...], x: Tensor, actions: Actions, before: Actions | None, steps: int | None
) -> Continuation:
    """The continuation that the arguments of ``Pipeline.imagine`` ask for.

    Raises:
        ConfigError: if there is no prior over frames, an action is unknown, the model takes no actions, or the number of steps is missing.
        DataError: if the number of actions is wrong.
    """
    if prior is None or len(level.stride) != 3:
        raise ConfigError("This model cannot imagine: it has no prior over frames of codes. Train one on clips: vqvae train worlds-video")
    check_actions(prior, level)
    takes = getattr(prior, "actions", 0)
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 1):
        raise ConfigError(f"steps is {shown(steps)}; it must be a whole number, at least 1.")
    if not takes:
        if before is not None or (actions is not None and (isinstance(actions, int | Integral) or len(actions))):
            raise ConfigError("This model was trained without actions. Omit the actions.")
        if steps is None:
            raise ConfigError("This model takes no actions, so it needs the number of frames to imagine: steps=10")
        return Continuation(int(steps), None)
    names = names_of_actions(takes, names)
    after = action_numbers(actions, names, len(x))
    wanted = after.shape[1] if steps is None else steps
    if after.shape[1] != wanted or not wanted:
        raise DataError(f"There are {after.shape[1]} actions for {wanted} frames to imagine; give one for each, at least one.")
    between = after[:, :1].expand(-1, x.shape[2] - 1) if before is None else action_numbers(before, names, len(x))
    if between.shape[1] != x.shape[2] - 1:
        raise DataError(f"There are {between.shape[1]} actions between {x.shape[2]} known frames; expected {x.shape[2] - 1}.")
    return Continuation(wanted, torch.cat([between, after], 1))
