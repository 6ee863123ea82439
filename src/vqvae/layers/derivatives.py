"""Hand-written derivatives: an error instead of wrong second derivatives."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from vqvae.errors import ConfigError


def first_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark the backward pass of a ``torch.autograd.Function`` as not differentiable.

    A backward pass with ``create_graph=True`` is then an error. Without it, second derivatives would silently be zero.

    Raises:
        ConfigError: in the backward pass, under ``create_graph=True``.
    """
    once = once_differentiable(backward)

    @functools.wraps(backward)
    def checked(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            raise ConfigError(
                "Second derivatives were requested (create_graph=True), but this function only has first derivatives. "
                "Take the gradient without create_graph, or do not differentiate this loss twice."
            )
        return once(ctx, *grads)

    return checked
