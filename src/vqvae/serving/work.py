"""What models do for requests. Everything here runs in the thread of the model."""

import io
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from vqvae.codes import Codes
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.kinds import PICTURES, kind_of
from vqvae.generation.watching import watch_codes
from vqvae.layers.autoregressive import Choice
from vqvae.pipeline import Pipeline
from vqvae.pipeline.compression import open_file
from vqvae.pipeline.drawing import Draw, Drawn, Plan, condition_of, draw_codes, plan_of
from vqvae.serving.refusals import Refusal
from vqvae.serving.wire import codes_to_json, file_of

_EVERY, _PICTURE_EVERY = 0.03, 0.3
"""Seconds between events with codes, and between pictures of what is drawn so far."""


def encode_together(model: Pipeline) -> Callable[[list[Tensor]], list[Codes]]:
    """Encodes examples of one size."""

    def work(examples: list[Tensor]) -> list[Codes]:
        codes = model.encode_batch(Batch(torch.cat(examples)))
        return [codes.take(slice(i, i + 1)) for i in range(len(examples))]

    return work


def sample_together(model: Pipeline, choice: Choice) -> Callable[[list[Draw]], Iterator[tuple[Codes, Tensor]]]:
    """Draws codes and decodes them, for requests with the same choice. The first are sent while others are decoded."""

    def work(draws: list[Draw]) -> Iterator[tuple[Codes, Tensor]]:
        for one, draw in zip(draw_codes(model, draws, choice), draws, strict=True):
            yield one.codes, model.decode_drawn(one, draw.seed)

    return work


def voice_of(model: Pipeline, voice: str | int | None) -> str | int | None:
    """Whose voice speaks: the first, if the client does not say.

    Raises:
        ConfigError: the model has no such voice.
    """
    if voice is None:
        return model.speakers[0] if model.speakers else None
    if not model.speakers:
        raise ConfigError(f"The voice {voice!r} was given, but this model has no voices. Omit it.")
    return model.speakers[model.label_number(voice)]


def class_of(model: Pipeline, label: str | None) -> Condition:
    """The class that a prior is given.

    Raises:
        ConfigError: the priors take no class, or do not have this one.
    """
    if label is None:
        return Condition()
    if not model.is_conditional:
        raise ConfigError(f"The label {label!r} was given, but the prior of this model has no classes. Omit it.")
    return Condition(label=torch.tensor([model.label_number(label)]))


def check_draw(model: Pipeline, draw: Draw) -> None:
    """Raise VqvaeError unless the model can draw this: its label and its known codes fit. Nothing is drawn."""
    plan_of(model, [draw], None)


def restored(model: Pipeline, data: bytes, voice: str | int | None, most_positions: int) -> Tensor:
    """The example of a compressed file.

    Raises:
        Refusal: it is larger than the server allows.
        BitstreamError: it is damaged, or was written with another model.
    """
    opened = open_file(model, io.BytesIO(data), "The file")
    positions = math.prod(opened.header.size)
    if positions > most_positions:
        raise Refusal(413, f"The file holds {positions:,} positions of data; at most {most_positions:,} are restored here.")
    named = model.voice(opened.header.label, voice_of(model, voice) if voice is not None else None)
    return model.restore(opened, "The file", voice_of(model, None) if named is None else named)


def known_codes(codes: Codes, keep: Sequence[Any] | None) -> Codes:
    """Codes with -1 where they are not kept.

    Raises:
        DataError: the masks do not fit the codes.
    """
    if keep is None:
        return codes
    masks = list(keep) if keep and isinstance(keep[0], list) else [keep]
    if len(masks) != len(codes):
        raise DataError(f"keep has {len(masks)} masks for {len(codes)} levels of codes. Send one for each level.")
    found = []
    for number, (level, mask) in enumerate(zip(codes, masks, strict=True)):
        positions = level[0, 0].numel()
        if len(mask) != positions or not set(mask) <= {0, 1}:
            came = f"{len(mask)} values from {min(mask)} to {max(mask)}" if mask else "none"
            raise DataError(f"keep of level {number} must have a 0 or a 1 for each of {positions} positions; {came} came.")
        kept = torch.tensor(mask, dtype=torch.bool).view(1, 1, *level.shape[2:])
        found.append(level.masked_fill(~kept, -1))
    return Codes(found)


def drawing(model: Pipeline, draw: Draw, choice: Choice, format: str | None = None) -> Iterator[tuple[str, Any]]:
    """The events of drawing samples: codes as they are drawn, pictures now and then, and all of it at the end."""
    plan = plan_of(model, [draw], None)
    levels: list[Tensor] = []
    for level, (prior, space, known) in enumerate(zip(model.priors, plan.spaces, plan.known, strict=True)):
        condition = condition_of(model, plan, levels)
        told, shown = time.monotonic(), time.monotonic()
        positions: list[int] = []
        values: list[Tensor] = []
        codes = known
        for step in watch_codes(prior, plan.numbers, space, condition=condition, prefix=known, choice=choice):
            codes, now = step.codes, time.monotonic()
            positions += step.positions
            values.append(step.drawn)
            if now - told < _EVERY:
                continue
            yield "codes", {"level": level, "positions": positions, "codes": torch.cat(values, 1).tolist()}
            positions, values, told = [], [], time.monotonic()
            if now - shown >= _PICTURE_EVERY and level == len(model.layout) - 1 and kind_of(model.signal) is PICTURES:
                pictures = _unfinished(model, Codes([*levels, step.codes]), plan)
                yield "picture", {"pictures": [file_of(one[None], model.signal).url for one in pictures]}
                shown = time.monotonic()
        if positions:
            yield "codes", {"level": level, "positions": positions, "codes": torch.cat(values, 1).tolist()}
        assert codes is not None, "the first step gives them, or all are known"
        levels.append(codes.to(model.device))
    drawn = Drawn(Codes(level.cpu() for level in levels), plan.labels, plan.size)
    yield "done", samples_to_json(model.decode_drawn(drawn, draw.seed), drawn.codes, model, format)


def _unfinished(model: Pipeline, codes: Codes, plan: Plan) -> Tensor:
    """What is drawn so far as pictures, grey where the finest codes are missing."""
    missing = (codes[-1] < 0).any(1)
    made = model.decode_drawn(Drawn(Codes(level.clamp(min=0).cpu() for level in codes), plan.labels, plan.size))
    for axis, stride in enumerate(model.layout[-1].stride, start=1):
        missing = missing.repeat_interleave(stride, axis)
    height, width = made.shape[2:]
    grey = (model.signal.levels or 256) // 2
    return made.masked_fill(missing[:, None, :height, :width].cpu(), grey)


def samples_to_json(made: Tensor, codes: Codes, model: Pipeline, format: str | None = None) -> dict[str, Any]:
    """Samples as codes and data URLs."""
    rows = [slice(i, i + 1) for i in range(len(made))]
    return {
        "codes": [codes_to_json(codes.take(row)) for row in rows],
        "pictures": [file_of(made[row], model.signal, format).url for row in rows],
    }
