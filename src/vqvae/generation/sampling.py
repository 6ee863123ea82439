"""Codes drawn from a prior [VQVAE §3.3]; ``Pipeline.sample`` decodes them."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from vqvae import seeding
from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.autoregressive import Choice
from vqvae.priors import SamplingPrior
from vqvae.progress import tracked


class Number(NamedTuple):
    """Which random numbers a sample gets."""

    seed: int
    index: int
    """The number of the sample among those of its seed."""


def sample_codes(
    prior: SamplingPrior,
    count: int,
    space: tuple[int, ...],
    *,
    condition: Condition = Condition(),
    prefix: Int64[Tensor, "count codebooks *space"] | None = None,
    seed: int = 0,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    batch_size: int = 64,
) -> Int64[Tensor, "count codebooks *space"]:
    """Draw codes from a prior. Sample i does not depend on ``count``: its random numbers are a function of the seed and i alone, and
    every batch has the same shape, because rounding depends on it. If ``prior.draws_alone``, which holds on a CPU for most priors,
    sample i does not depend on ``batch_size`` either.

    Args:
        prior: the prior.
        count: number of samples.
        space: length of each axis of space, in codes.
        condition: the condition; its tensors have ``count`` rows.
        prefix: known codes, and -1 for codes to draw: for continuation and inpainting.
        seed: seed of the random numbers.
        temperature, top_k, top_p: see ``vqvae.layers.autoregressive.Choice``.
        batch_size: samples per batch.

    Raises:
        ConfigError: if a number is out of range.
        DataError: if condition or prefix do not fit the prior or ``count``.
    """
    if count < 0 or batch_size < 1:
        raise ConfigError(f"count is {count} and batch_size is {batch_size}; they must be at least 0 and 1.")
    numbers = [Number(seed, i) for i in range(count)]
    choice = Choice(temperature, top_k, top_p)
    return sample_numbered(prior, numbers, space, condition=condition, prefix=prefix, choice=choice, batch_size=batch_size)


@torch.inference_mode()
def sample_numbered(
    prior: SamplingPrior,
    numbers: Sequence[Number],
    space: tuple[int, ...],
    *,
    condition: Condition = Condition(),
    prefix: Int64[Tensor, "count codebooks *space"] | None = None,
    choice: Choice = Choice(),
    batch_size: int = 64,
) -> Int64[Tensor, "count codebooks *space"]:
    """``sample_codes`` for samples of several seeds: each is what it would be among those of its own seed alone.

    Args:
        prior: the prior.
        numbers: which random numbers each sample gets.
        space: length of each axis of space, in codes.
        condition: the condition; its tensors have one row per sample.
        prefix: known codes, and -1 for codes to draw.
        choice: how a code is chosen from its logits.
        batch_size: samples per batch.

    Raises:
        ConfigError, DataError: see ``sample_codes``.
    """
    count = len(numbers)
    for name, given in (("condition.label", condition.label), ("prefix", prefix)):
        if given is not None and len(given) != count:
            raise DataError(f"{name} has {len(given)} rows; it must have one for each of {count} samples.")
    choice.check()
    draws = math.prod(space) * prior.num_codebooks
    parts = [torch.empty(0, prior.num_codebooks, *space, dtype=torch.int64, device="cpu")]
    for first in _batches(count, batch_size):
        wanted = min(batch_size, count - first)
        # Padded with repeats of the last sample: rounding of matrix products depends on the batch's shape.
        size = wanted if prior.draws_alone else batch_size
        rows = torch.arange(first, first + size, device="cpu").clamp(max=count - 1)
        uniforms = [uniforms_of(number, draws) for number in numbers[first : first + wanted]]
        uniforms += uniforms[-1:] * (size - wanted)
        known = None if prefix is None else prefix[rows]
        codes = prior.draw(torch.stack(uniforms), space, condition.take(rows), known, choice)
        parts.append(codes[:wanted])
    return torch.cat([part.to(parts[-1].device) for part in parts])


def uniforms_of(number: Number, draws: int) -> Float64[Tensor, " draws"]:
    """The random numbers of one sample."""
    return torch.rand(draws, generator=seeding.generator(number.seed, "sample", number.index), dtype=torch.float64, device="cpu")


def _batches(count: int, batch_size: int) -> Iterable[int]:
    """The first sample of each batch. The progress of a single batch is that of its positions, which the loop over them shows."""
    firsts = range(0, count, batch_size)
    return firsts if len(firsts) < 2 else tracked(firsts, "sampling codes", count, lambda first: min(batch_size, count - first))
