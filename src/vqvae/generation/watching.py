"""The drawing of codes, step by step, for those who watch."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor

from vqvae.data.base import Condition
from vqvae.generation.sampling import Number, uniforms_of
from vqvae.layers import autoregressive
from vqvae.layers.autoregressive import Choice
from vqvae.priors import AutoregressivePrior, MaskedPrior, SamplingPrior


class Step(NamedTuple):
    """Codes that were drawn together, and all codes so far."""

    positions: list[int]
    """Which codes, counted in (codebooks, *space), the last axis fastest."""
    drawn: Int64[Tensor, "count positions"]
    """Their values."""
    codes: Int64[Tensor, "count codebooks *space"]
    """All codes; -1 for those that are not yet drawn. The next step overwrites it."""


@torch.inference_mode()
def watch_codes(
    prior: SamplingPrior,
    numbers: Sequence[Number],
    space: tuple[int, ...],
    *,
    condition: Condition = Condition(),
    prefix: Int64[Tensor, "count codebooks *space"] | None = None,
    choice: Choice = Choice(),
) -> Iterator[Step]:
    """``sample_numbered`` step by step: a code at a time, or what a prior draws in one pass. Codes agree unless rounding decides.

    Raises:
        ConfigError, DataError: see ``sample_numbered``.
    """
    books, places = prior.num_codebooks, math.prod(space)
    uniforms = torch.stack([uniforms_of(number, places * books) for number in numbers])
    codes = torch.full((len(numbers), books, *space), -1, dtype=torch.int64) if prefix is None else prefix.cpu().clone()
    flat = codes.view(len(numbers), -1)
    if isinstance(prior, AutoregressivePrior):
        for number, value in autoregressive.watch(prior, space, uniforms, condition, prefix, choice):
            place, book = divmod(number, books)
            position = book * places + place
            flat[:, position] = value.cpu()
            yield Step([position], flat[:, [position]], codes)
    elif isinstance(prior, MaskedPrior) and len(space) == 2:
        for group, after in prior.watch(uniforms, space, condition, prefix, choice):
            flat.copy_(after.cpu().flatten(1))
            positions = [book * places + place for book in range(books) for place in group.tolist()]
            yield Step(positions, flat[:, positions], codes)
    else:
        flat.copy_(prior.draw(uniforms, space, condition, prefix, choice).cpu().flatten(1))
        yield Step(list(range(flat.shape[1])), flat.clone(), codes)
