"""Exponential moving average of weights [Polyak & Juditsky 1992], used for evaluation and for the saved model."""

import copy

import torch
from torch import Tensor, nn


class Average:
    """A copy of a module. Its parameters and floating-point buffers are running means; other buffers are plain copies."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Update from ``module`` after step ``step`` (from 0).

        The decay is (1 + step) / (10 + step), up to its final value: it begins at 1/10, so early weights soon lose influence.
        """
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        followers, leaders = _tensors(self.module), _tensors(module)
        floats = [i for i, tensor in enumerate(leaders) if tensor.is_floating_point()]
        torch._foreach_lerp_([followers[i] for i in floats], [leaders[i] for i in floats], share)
        for follower, leader in zip(followers, leaders, strict=True):
            if not leader.is_floating_point():
                follower.copy_(leader)


def _tensors(module: nn.Module) -> list[Tensor]:
    # Looked up at every step: a module may replace a buffer by a new tensor.
    return [*module.parameters(), *module.buffers()]
