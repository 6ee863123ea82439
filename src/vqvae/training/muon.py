"""Muon: momentum whose step has singular values near one, for the matrices of hidden layers."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)
"""The polynomial of a Newton-Schulz step. Its slope at zero is steep, so that small singular values grow fast."""
STEPS = 5
MOMENTUM = 0.95


class Muon(torch.optim.Optimizer):
    """Muon [Jordan 2024, kellerjordan.github.io/posts/muon; arXiv 2502.16982] with Nesterov momentum.

    A convolution counts as a matrix (outputs, inputs × taps). ``torch.optim.Muon`` does not take convolutions.
    """

    def __init__(self, parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
                matrix = parameter.grad.lerp(momentum, MOMENTUM).flatten(1)
                scale = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(orthogonal(matrix).view(parameter.shape), alpha=-group["lr"] * scale)


def orthogonal(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """The matrix with its singular values moved close to one (0.7 to 1.2), by Newton-Schulz steps."""
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.t()
    x = wide / (wide.norm() + 1e-7)
    first, third, fifth = QUINTIC
    for _ in range(STEPS):
        square = x @ x.t()
        x = torch.addmm(x, torch.addmm(square, square, square, beta=third, alpha=fifth), x, beta=first)
    return x if wide is matrix else x.t()
