"""Derivatives written by hand: what they do when somebody asks for their derivatives in turn."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from vqvae.errors import ConfigError


def first_only(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark the backward pass of a ``torch.autograd.Function`` that has no derivative of its own.

    A backward pass with ``create_graph=True`` is then an error. Without it, second derivatives would silently be zero.

    Raises:
        ConfigError: from the backward pass, under ``create_graph=True``.
    """
    once = once_differentiable(backward)

    @functools.wraps(backward)
    def checked(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            raise ConfigError(
                "Second derivatives were asked for (create_graph=True), and this function only has first ones. "
                "Take the gradient without create_graph, or leave this loss out of what is differentiated twice."
            )
        return once(ctx, *grads)

    return checked
