"""Latents of mean 0 and variance 1, so that no loss can shrink them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vqvae import distributed

_KEPT = 0.99
"""What a training step keeps of the running statistics: as much as a codebook of running means keeps of its own."""
_LEAST = 1e-12
"""Of a variance: a channel that never changes stays 0."""


class RunningStandard(nn.Module):
    """Every channel less its running mean, over its running standard deviation; in training, too.

    A commitment loss pulls latents to their codes and codes follow them: where the decoder hardly needs the codes, as an autoregressive
    one at first, both end in one point. Statistics that gradients do not see undo any shrinking. Batch normalisation does the same
    (https://arxiv.org/abs/2005.08520 uses it for this), but standardises each batch by itself: of a single clip, that would hide how
    loud and whose it is, and training would see other codes than evaluation.
    """

    started: Tensor
    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("started", torch.tensor(False))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Float[Tensor, "batch channels *space"]) -> Float[Tensor, "batch channels *space"]:
        """Standardise; training steps learn the statistics first."""
        if self.training and torch.is_grad_enabled() and x.numel():
            self._learn(x.detach())
        shape = (-1, *(1,) * (x.ndim - 2))
        return (x - self.mean.view(shape)) / self.variance.clamp(min=_LEAST).sqrt().view(shape)

    @torch.no_grad()
    def _learn(self, x: Tensor) -> None:
        rows, kept = x.float().transpose(0, 1).flatten(1), _KEPT if self.started else 0.0
        self.mean.mul_(kept).add_(distributed.mean_(rows.mean(1)), alpha=1 - kept)
        # Around the running mean: a difference of mean squares would lose its digits where latents are small beside it.
        self.variance.mul_(kept).add_(distributed.mean_((rows - self.mean[:, None]).square().mean(1)), alpha=1 - kept)
        self.started.fill_(True)
