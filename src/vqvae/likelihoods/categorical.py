"""A 256-way categorical likelihood: the one behind the paper's bits/dim on CIFAR-10 [VQVAE §4.1]."""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from vqvae.config import check_at_least, settings
from vqvae.layers.derivatives import first_only
from vqvae.likelihoods.base import BinnedLikelihood, Expecting
from vqvae.likelihoods.levels import LEVELS, check_parameters, check_shapes, check_temperature, refuse_mask, to_bins, to_raw

_ROWS, _ROWS_CUDA = 2**10, 2**17
"""Number of rows of logits at a time: 1 MiB on a CPU, which fits in the cache; 128 MiB on a GPU."""


@settings
class CategoricalConfig:
    """A separate probability for each level."""

    channels: int = 3
    """Channels of the image."""
    levels: int = LEVELS
    """Levels per channel: 256 for uint8."""

    def build(self) -> "Categorical":
        return Categorical(self)


class Categorical(BinnedLikelihood, Expecting):
    """A softmax over the levels for every channel of every pixel, with no order among them."""

    def __init__(self, config: CategoricalConfig) -> None:
        super().__init__()
        check_at_least(1, config, "channels")
        check_at_least(2, config, "levels")
        self.config = config
        self.channels, self.levels = config.channels, config.levels

    @property
    def num_parameters(self) -> int:
        """One logit per level and channel."""
        return self.channels * self.config.levels

    def log_prob(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(x | parameters), in nats per example.

        Raises:
            DataError: if pixels or parameters have the wrong type or shape, or a mask is given.
        """
        refuse_mask(mask)
        check_shapes(parameters, x, self.num_parameters, self.channels, self.config.levels)
        # Channels last: the memory layout of a decoder's output in bfloat16.
        logits = parameters.movedim(1, -1).reshape(-1, self.config.levels)
        log_prob = _LogProb.apply(logits, x.movedim(1, -1).flatten().long())
        return log_prob.view(len(x), math.prod(x.shape[1:])).sum(1)

    def sample(
        self, parameters: Float[Tensor, "batch parameters *space"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Shaped[Tensor, "batch channels *space"]:
        """Draw pixels. ``temperature`` divides the logits; 0 gives the mode."""
        if check_temperature(temperature) == 0:
            return self.mode(parameters)
        logits = self._logits(check_parameters(parameters, self.num_parameters)).movedim(2, -1)
        share = (logits / temperature).softmax(-1)
        drawn = torch.multinomial(share.reshape(-1, self.config.levels), 1, generator=generator)
        return to_raw(drawn.view(share.shape[:-1]), self.config.levels)

    def mode(self, parameters: Float[Tensor, "batch parameters *space"]) -> Shaped[Tensor, "batch channels *space"]:
        """The most likely level."""
        return to_raw(self._logits(check_parameters(parameters, self.num_parameters)).argmax(2), self.config.levels)

    def mean(self, parameters: Float[Tensor, "batch parameters *space"]) -> Float[Tensor, "batch channels *space"]:
        """The mean of the levels' distribution, from -1 to 1."""
        share = self._logits(check_parameters(parameters, self.num_parameters)).softmax(2)
        levels = torch.linspace(-1, 1, self.config.levels, device=share.device, dtype=share.dtype)
        return (share * levels.view(-1, *[1] * (share.ndim - 3))).sum(2)

    def discretise(self, x: Tensor) -> Int64[Tensor, "batch channels *space"]:
        """Pixels as bins: the levels themselves."""
        return to_bins(x, self.channels, self.config.levels)

    def restore(self, bins: Int64[Tensor, "*any"]) -> Shaped[Tensor, "*any"]:
        """The levels as pixels."""
        return to_raw(bins, self.config.levels)

    def _logits(self, parameters: Tensor) -> Float[Tensor, "batch channels levels *space"]:
        return parameters.unflatten(1, (self.channels, self.config.levels))


class _LogProb(torch.autograd.Function):
    """log softmax of each row at its level, in float32 (float64 stays), a few rows at a time.

    Value and derivatives are computed together. Only the derivatives are saved, in the dtype of the logits. An image has 256 times as
    many logits as values, so only a few rows at a time are copied to float32.
    """

    @staticmethod
    def forward(ctx: Any, logits: Float[Tensor, "rows levels"], level: Int64[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        exact = torch.promote_types(logits.dtype, torch.float32)
        log_prob = torch.empty(len(logits), dtype=exact, device=logits.device)
        slope = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        few = _ROWS if logits.device.type == "cpu" else _ROWS_CUDA
        if torch.compiler.is_compiling():  # Compiled kernels fuse the steps; the loop would be unrolled.
            few = max(len(logits), 1)
        for first in range(0, len(logits), few):
            rows = slice(first, first + few)
            at = level[rows].unsqueeze(1)
            log_probs = logits[rows].to(exact).log_softmax(1)
            log_prob[rows] = log_probs.gather(1, at)[:, 0]
            if slope is not None:
                slope[rows] = log_probs.exp_().neg_().scatter_add_(1, at, log_probs.new_ones(at.shape))
        if slope is not None:
            ctx.save_for_backward(slope)
        return log_prob

    @staticmethod
    @first_only
    # pyrefly: ignore[bad-override]  # torch declares *grad_outputs, but its documentation names them.
    def backward(ctx: Any, grad: Float[Tensor, " rows"]) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return slope * grad.unsqueeze(1).to(slope.dtype), None
