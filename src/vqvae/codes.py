"""Codes: their levels, their masks, and their cost under the uniform prior."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Int64, Integer, Shaped
from torch import Tensor

from vqvae.errors import ConfigError, DataError
from vqvae.exact import exact, exact_device, is_traced


class Level(NamedTuple):
    """The shape of one level of codes."""

    num_codebooks: int
    codebook_size: int
    stride: tuple[int, ...]
    """Data positions per code, one number per axis of space."""
    lead: tuple[int, ...] = ()
    """Positions by which the first code of each axis covers less data than ``stride``; empty: none. A causal tokenizer of video with
    4 frames per code has a lead of 3 frames: its first codes cover the first frame alone."""


def only_level(layout: tuple[Level, ...]) -> Level:
    """The only level.

    Raises:
        ConfigError: if there are several.
    """
    if len(layout) != 1:
        raise ConfigError(f"There are {len(layout)} levels of codes; this needs a model with one.")
    return layout[0]


class Codes(tuple[Tensor, ...]):
    """The codes of a batch: one int64 tensor (batch, codebooks, *space) per level, coarsest first, the order in which priors draw
    them. It is a tuple, so ``codes[0]`` and ``(codes,) = ...`` give the tensor of one level.
    """

    masks: tuple[Tensor | None, ...]
    """For each level bool (batch, *space), True where a code stands for data; None if all do."""

    def __new__(cls, levels: Iterable[Tensor], masks: Iterable[Tensor | None] | None = None) -> "Codes":
        codes = super().__new__(cls, levels)
        codes.masks = (None,) * tuple.__len__(codes) if masks is None else tuple(masks)
        if tuple.__len__(codes) != len(codes.masks):
            raise DataError(f"{len(codes.masks)} masks for {tuple.__len__(codes)} levels of codes; give one per level, or None.")
        return codes

    @classmethod
    def of(cls, codes: "Tensor | tuple[Tensor, ...]") -> "Codes":
        """Codes from the tensor of one level, or from a tuple with one tensor per level.

        Raises:
            DataError: if they are anything else.
        """
        if isinstance(codes, cls):
            return codes
        levels: Any = (codes,) if isinstance(codes, Tensor) else codes
        if not isinstance(levels, (tuple, list)) or not all(isinstance(level, Tensor) for level in levels):
            raise DataError(f"Codes came as {type(codes).__name__}; expected a tensor, or a tuple with one tensor per level.")
        return cls(levels)

    @property
    def tensor(self) -> Tensor:
        """The codes of the only level.

        Raises:
            DataError: if there are several.
        """
        if len(self) != 1:
            raise DataError(f"There are {len(self)} levels of codes, where one tensor is expected; take them one by one: codes[0], ...")
        return self[0]

    @property
    def mask(self) -> Tensor | None:
        """The mask of the only level; see ``tensor``."""
        return self.masks[0] if len(self) == 1 else None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Codes":
        """Apply a function to every tensor and mask."""
        return Codes(map(change, self), [mask if mask is None else change(mask) for mask in self.masks])

    def to(self, device: torch.device | str) -> "Codes":
        """The codes on another device."""
        return self.map(lambda tensor: tensor.to(device))

    def take(self, rows: "Int[Tensor, ' rows'] | slice") -> "Codes":
        """The codes of some examples."""
        return self.map(lambda tensor: tensor[rows])

    @staticmethod
    def cat(parts: "Iterable[Codes]") -> "Codes":
        """The codes of several batches as one. If any part has a mask, the result has one."""
        parts = list(parts)
        masks = []
        for level, several in enumerate(zip(*(part.masks for part in parts), strict=True)):
            whole = all(mask is None for mask in several)
            filled = [_all_true(part[level]) if mask is None else mask for part, mask in zip(parts, several, strict=True)]
            masks.append(None if whole else torch.cat(filled))
        return Codes(map(torch.cat, zip(*parts, strict=True)), masks)


LogPrior = Callable[..., Tensor]
"""A function of codes (batch, codebooks, *space), the condition of the batch and the codes' mask. It returns log p(codes | condition)
of the unmasked codes, (batch,), in nats. One example is a prior's ``log_prob``. A model with several levels calls it once, with
``Codes`` (which have their own masks) and with None as the mask. It then returns log p of all levels together, as
``Pipeline.log_prior`` does."""


def check_codes(codes: Any, num_codebooks: int, codebook_size: int, taker: str) -> Int64[Tensor, "batch codebooks *space"]:
    """Return codes as int64, from integers of any width. Compiled and exported code skips the check of values.

    Raises:
        DataError: unless codes are integers (batch, num_codebooks, *space) in [0, codebook_size).
    """
    if not isinstance(codes, Tensor):
        raise DataError(f"Codes came as {type(codes).__name__}; a tensor is expected. Make one with torch.as_tensor.")
    if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool or codes.ndim < 2 or codes.shape[1] != num_codebooks:
        raise DataError(
            f"Codes are {codes.dtype} of the shape {tuple(codes.shape)}; this {taker} takes integers (batch, {num_codebooks}, *space)."
        )
    codes = codes.long()
    if not is_traced() and codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < codebook_size:
        raise DataError(f"Codes lie between {int(codes.min())} and {int(codes.max())}; this {taker} has 0 to {codebook_size - 1}.")
    return codes


def check_prefix(prefix: Any, expected: tuple[int, ...], codebook_size: int, taker: str) -> Int64[Tensor, "batch codebooks *space"]:
    """Return known codes as int64.

    Raises:
        DataError: if the shape is not ``expected``, or a value is neither a code nor -1.
    """
    if not isinstance(prefix, Tensor):
        raise DataError(f"The prefix came as {type(prefix).__name__}; a tensor is expected. Make one with torch.as_tensor.")
    if tuple(prefix.shape) != expected:
        raise DataError(f"The prefix has the shape {tuple(prefix.shape)}; it must be {expected}, with -1 for each code to draw.")
    signed = prefix if prefix.is_floating_point() or prefix.dtype == torch.bool else prefix.long()
    unknown = signed == -1
    return check_codes(signed.masked_fill(unknown, 0), expected[1], codebook_size, taker).masked_fill(unknown, -1)


def space_of(size: tuple[int, ...], stride: tuple[int, ...], lead: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The number of latents along each axis for data of a size; see ``Level``."""
    lead = lead or (0,) * len(stride)
    return tuple(-(-(length + before) // step) for length, before, step in zip(size, lead, stride, strict=False))


def size_of(space: tuple[int, ...], stride: tuple[int, ...], lead: tuple[int, ...] = ()) -> tuple[int, ...]:
    """The size of the data that latents cover; see ``Level``."""
    lead = lead or (0,) * len(stride)
    return tuple(length * step - before for length, before, step in zip(space, lead, stride, strict=False))


def latent_mask(
    mask: Bool[Tensor, "batch *positions"], stride: tuple[int, ...], lead: tuple[int, ...] = ()
) -> Bool[Tensor, "batch *space"]:
    """The mask of latents: True if any position that the latent covers is True."""
    for axis, (step, before) in enumerate(zip(stride, lead or (0,) * len(stride), strict=True), start=1):
        first, last = (
            mask.new_zeros(*mask.shape[:axis], count, *mask.shape[axis + 1 :]) for count in (before, -(mask.shape[axis] + before) % step)
        )
        mask = torch.cat([first, mask, last], axis).unflatten(axis, (-1, step)).any(axis + 1)
    return mask


def count_codes(codes: Integer[Tensor, "batch codebooks *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> int:
    """The number of codes, or of those where the mask is True."""
    return codes.numel() if mask is None else int(mask.sum()) * codes.shape[1]


def uniform_log_prob(
    codes: Shaped[Tensor, "batch codebooks *space"], codebook_size: int, mask: Bool[Tensor, "batch *space"] | None = None
) -> Float[Tensor, " batch"]:
    """log p(codes) under the uniform prior: -N·log K nats for N unmasked codes [VQVAE §3.1]."""
    nats_of_code = math.log(max(codebook_size, 1))
    if mask is not None:
        return mask.flatten(1).sum(1).float() * -(codes.shape[1] * nats_of_code)
    return torch.full((len(codes),), -math.prod(codes.shape[1:]) * nats_of_code, dtype=torch.float32, device=codes.device)


def codes_that_count(
    codes: Integer[Tensor, "batch codebooks *space"], mask: Bool[Tensor, "batch *space"] | None
) -> Int[Tensor, "codebooks codes"]:
    """The unmasked codes of each codebook, as one row."""
    return codes.transpose(0, 1).flatten(1) if mask is None else codes.movedim(1, -1)[mask].T


def perplexity(counts: Shaped[Tensor, "*books codes"]) -> Float[Tensor, "*books"]:
    """exp H of the distribution given by counts: the number of evenly used codes with the same entropy."""
    share = exact(counts) / counts.sum(-1, keepdim=True).clamp(min=1).to(exact_device(counts.device))
    return torch.special.entr(share).sum(-1).exp().float().to(counts.device)


def _all_true(codes: Tensor) -> Tensor:
    return torch.ones_like(codes[:, 0], dtype=torch.bool)
