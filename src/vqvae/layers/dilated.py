"""The stack of dilated causal layers of WaveNet, with a backward pass of its own: https://arxiv.org/abs/1609.03499, section 2."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def dilated_gates(
    x: Float[Tensor, "time batch hidden"],
    bias: Float[Tensor, "batch blocks layers gates"] | None,
    pairs: Float[Tensor, "layers pair gates"],
    pairs_bias: Float[Tensor, "layers gates"],
    residual: Float[Tensor, "shortened hidden hidden"],
    dilations: tuple[int, ...],
    dropout: float = 0.0,
) -> Float[Tensor, "time batch layers_hidden"]:
    """The gates of all layers beside each other: tanh of the first half of the products times the sigmoid of the second half.

    x ─ [product of the pair (x[t − dilation], x[t]) + bias ─ gate ─ 1×1 + residual] × layers; before the first x there are zeros

    Time is the first axis, so that the past of all examples is one block of rows: no layer pads, shifts or copies. The backward
    pass keeps what each layer was given and its gates, and adds all gradients of a tensor up in place.

    Args:
        x: in the type that the products run in.
        bias: added to the gates; each of its blocks holds for as many steps, whose number divides ``time``.
        pairs: weights (inputs, outputs), those of the past in the first half of the inputs.
        residual: the 1×1 weights of all layers but the last, whose residual stream would lead nowhere.
        dropout: share of the gates that are dropped.
    """
    with torch.autocast(x.device.type, enabled=False):
        weights = tuple(weight.to(x.dtype) for weight in (pairs, pairs_bias, residual))
        return _DilatedGates.apply(x.contiguous(), None if bias is None else bias.to(x.dtype), *weights, dilations, dropout)


class _DilatedGates(torch.autograd.Function):
    """All layers as one step of the graph."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        bias: Tensor | None,
        pairs: Tensor,
        pairs_bias: Tensor,
        residual: Tensor,
        dilations: tuple[int, ...],
        dropout: float,
    ) -> Tensor:
        time, batch, hidden = x.shape
        rows, layers = time * batch, len(dilations)
        opened = x.new_empty(rows, layers, hidden)
        kept = None if dropout == 0 else torch.empty_like(opened).bernoulli_(1 - dropout).div_(1 - dropout)
        inputs, products = [x.view(rows, hidden)], []
        for i, dilation in enumerate(dilations):
            late = min(dilation * batch, rows)
            product = torch.addmm(pairs_bias[i], inputs[i], pairs[i, hidden:])
            product[late:].addmm_(inputs[i][: rows - late], pairs[i, :hidden])
            if bias is not None:
                _in_blocks(product, bias).add_(bias[:, :, i].transpose(0, 1).unsqueeze(1))
            product[:, :hidden].tanh_()
            # pyrefly: ignore[unexpected-keyword]  # torch's stubs leave ``out`` out.
            torch._C._nn.glu(product, -1, out=opened[:, i])
            if kept is not None:
                opened[:, i].mul_(kept[:, i])
            if i < layers - 1:
                inputs.append(torch.addmm(inputs[i], opened[:, i], residual[i]))
            products.append(product)
        ctx.dilations = dilations
        ctx.save_for_backward(bias, pairs, residual, kept, opened, *inputs, *products)
        return opened.view(time, batch, layers * hidden)

    @staticmethod
    @once_differentiable
    # pyrefly: ignore[bad-override]  # torch types it with *grad_outputs; naming them is its own documented way.
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        bias, pairs, residual, kept, opened, *rest = ctx.saved_tensors
        inputs, products = rest[: len(ctx.dilations)], rest[len(ctx.dilations) :]
        rows, layers, hidden = opened.shape
        batch = grad.shape[1]
        grad_bias = None if bias is None else torch.empty_like(bias)
        grad_pairs, grad_pairs_bias, grad_residual = (
            torch.empty_like(pairs),
            pairs.new_empty(layers, 2 * hidden),
            torch.empty_like(residual),
        )
        grad_opened = grad.reshape(rows, layers, hidden)
        stream = grad.new_zeros(rows, hidden)
        for i in reversed(range(layers)):
            late = min(ctx.dilations[i] * batch, rows)
            given = grad_opened[:, i]
            if i < layers - 1:
                given = torch.addmm(given, stream, residual[i].t())
                torch.mm(opened[:, i].t(), stream, out=grad_residual[i])
            if kept is not None:
                given = given * kept[:, i]
            product = torch.ops.aten.glu_backward(given, products[i], -1)
            # The first half of the products was overwritten by its tanh.
            signal = product[:, :hidden]
            torch.ops.aten.tanh_backward(signal, products[i][:, :hidden], grad_input=signal)
            if grad_bias is not None:
                torch.sum(_in_blocks(product, grad_bias), 1, out=grad_bias[:, :, i].transpose(0, 1))
            torch.sum(product, 0, out=grad_pairs_bias[i])
            torch.mm(inputs[i].t(), product, out=grad_pairs[i, hidden:])
            torch.mm(inputs[i][: rows - late].t(), product[late:], out=grad_pairs[i, :hidden])
            stream.addmm_(product, pairs[i, hidden:].t())
            stream[: rows - late].addmm_(product[late:], pairs[i, :hidden].t())
        return stream.view(grad.shape[0], batch, hidden), grad_bias, grad_pairs, grad_pairs_bias, grad_residual, None, None


def _in_blocks(product: Float[Tensor, "rows gates"], bias: Tensor) -> Float[Tensor, "blocks steps batch gates"]:
    """The rows as blocks of steps, for a bias (batch, blocks, layers, gates)."""
    batch, blocks = bias.shape[:2]
    return product.view(blocks, -1, batch, product.shape[-1])
