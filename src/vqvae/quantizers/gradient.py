"""Gradients through the choice of a code: how the decoder's gradient reaches the encoder's output."""

from typing import Any, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

Gradient = Literal["straight_through", "rotation"]


def pass_gradient(latents: Float[Tensor, "rows dim"], vectors: Float[Tensor, "rows dim"], gradient: Gradient) -> Float[Tensor, "rows dim"]:
    """The vectors, unchanged bit for bit, with their gradient sent to the latents.

    ``straight_through`` copies it unchanged [VQVAE §3.2]. ``rotation`` rotates and scales it by what maps
    the latent to its vector [Fifty et al. 2024, arXiv 2410.06424].
    """
    return _StraightThrough.apply(latents, vectors) if gradient == "straight_through" else _Rotation.apply(latents, vectors)


def commitment(
    latents: Float[Tensor, "rows dim"], vectors: Float[Tensor, "rows dim"], count: Shaped[Tensor, ""] | float
) -> Float[Tensor, ""]:
    """Σ‖latent − sg[vector]‖² / count: the third term of [VQVAE eq. 3] without β. Only the latents get a gradient."""
    return _Commitment.apply(latents, vectors.detach(), count)


class _StraightThrough(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    # pyrefly: ignore[bad-override]  # torch types it with *args; naming them is its own documented way.
    def forward(latents: Tensor, vectors: Tensor) -> Tensor:
        return _another(vectors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Save nothing."""

    @staticmethod
    # pyrefly: ignore[bad-override]  # As above.
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class _Rotation(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    # pyrefly: ignore[bad-override]  # As above.
    def forward(latents: Tensor, vectors: Tensor) -> Tensor:
        return _another(vectors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Save what defines the rotation."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    # pyrefly: ignore[bad-override]  # As above.
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # The rotation is a constant [Fifty et al. 2024, §4], also for second derivatives.
        latents, vectors = (saved.detach() for saved in ctx.saved_tensors)
        length = latents.norm(dim=1, keepdim=True)
        scale = vectors.norm(dim=1, keepdim=True) / length
        source = latents / length
        target = torch.nn.functional.normalize(vectors, dim=1)
        # Antipodal pairs have no bisector; a zero one leaves the reflection that maps source to target.
        bisector = torch.nn.functional.normalize(source + target, dim=1)
        turned = grad - 2 * bisector * (bisector * grad).sum(1, keepdim=True) + 2 * source * (target * grad).sum(1, keepdim=True)
        # A latent at the origin has no direction and an unbounded scale: there the gradient is straight-through.
        defined = (length > torch.finfo(latents.dtype).eps) & scale.isfinite()
        return torch.where(defined, scale * turned, grad), None


class _Commitment(torch.autograd.Function):
    """As (latents - vectors).square().sum() / count, with no temporary saved for the backward pass."""

    generate_vmap_rule = True

    @staticmethod
    # pyrefly: ignore[bad-override]  # As above.
    def forward(latents: Tensor, vectors: Tensor, count: Tensor | float) -> Tensor:
        return torch.nn.functional.mse_loss(latents, vectors, reduction="sum") / count

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | float], output: Tensor) -> None:
        """Save both arguments."""
        latents, vectors, ctx.count = inputs
        ctx.save_for_backward(latents, vectors)

    @staticmethod
    # pyrefly: ignore[bad-override]  # As above.
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        latents, vectors = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph=True: nothing may be overwritten.
            return (latents - vectors) * (2 * grad / ctx.count), None, None
        return torch.sub(latents, vectors).mul_(2 * grad / ctx.count), None, None


def _another(vectors: Tensor) -> Tensor:
    """The same vectors as a new tensor. Compiled code would return an alias of its input without this gradient."""
    return vectors.clone() if torch.compiler.is_compiling() else vectors.view_as(vectors)
