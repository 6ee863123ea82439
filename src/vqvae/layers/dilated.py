"""The stack of dilated causal layers of WaveNet, with a backward pass of its own: https://arxiv.org/abs/1609.03499, section 2."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.layers.derivatives import first_only


def dilated_gates(
    x: Float[Tensor, "time batch hidden"],
    bias: Float[Tensor, "batch blocks layers gates"] | None,
    pairs: Float[Tensor, "layers pair gates"],
    pairs_bias: Float[Tensor, "layers gates"],
    residual: Float[Tensor, "shortened hidden hidden"],
    dilations: tuple[int, ...],
    dropout: float = 0.0,
) -> Float[Tensor, "time batch layers_hidden"]:
    """The gates of all layers, side by side: tanh of the first half of the products times the sigmoid of the second half.

    x ─ [product of the pair (x[t − dilation], x[t]) + bias ─ gate ─ 1×1 + residual] × layers; zeros stand before the first x

    Time is the first axis, so the past of all examples is one block of rows: no layer pads, shifts or copies. The backward pass keeps
    the input and the gates of each layer, and adds up all gradients of a tensor in place. The signal and its gate are separate
    products, and the input of the next layer is stored apart from the gates of other layers: torch reads contiguous rows several
    times as fast.

    Args:
        x: the inputs, in the dtype of the products.
        bias: added to the gates. Its blocks have equal length; their number divides ``time``.
        pairs: weights (inputs, outputs); the first half of the inputs is the past.
        residual: the 1×1 weights of all layers but the last, whose residual stream would not be used.
        dropout: share of the gates to drop.
    """
    with torch.autocast(x.device.type, enabled=False):
        weights = tuple(weight.to(x.dtype) for weight in (pairs, pairs_bias, residual))
        return _DilatedGates.apply(x.contiguous(), None if bias is None else bias.to(x.dtype), *weights, dilations, dropout)


class _DilatedGates(torch.autograd.Function):
    """All layers as one node of the autograd graph."""

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
            product = x.new_empty(2, rows, hidden)
            for half, columns in zip(product, _halves(hidden), strict=True):
                torch.addmm(pairs_bias[i, columns], inputs[i], pairs[i, hidden:, columns], out=half)
                half[late:].addmm_(inputs[i][: rows - late], pairs[i, :hidden, columns])
                if bias is not None:
                    _in_blocks(half, bias).add_(bias[:, :, i, columns].transpose(0, 1).unsqueeze(1))
            _tanh_(product[0])
            product[1].sigmoid_()
            gates = product[0] * product[1]
            if kept is not None:
                gates.mul_(kept[:, i])
            opened[:, i] = gates
            if i < layers - 1:
                inputs.append(torch.addmm(inputs[i], gates, residual[i]))
            products.append(product)
        ctx.dilations = dilations
        ctx.save_for_backward(bias, pairs, residual, kept, opened, *inputs, *products)
        return opened.view(time, batch, layers * hidden)

    @staticmethod
    @first_only
    # pyrefly: ignore[bad-override]  # torch declares *grad_outputs, but its documentation names them.
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
                given = torch.mm(stream, residual[i].t()).add_(given)
                torch.mm(opened[:, i].t(), stream, out=grad_residual[i])
            if kept is not None:
                given = given * kept[:, i]
            signal, gate = products[i]
            of_signal = torch.ops.aten.tanh_backward(given * gate, signal)
            of_gate = torch.ops.aten.sigmoid_backward(given * signal, gate)
            for half, columns in zip((of_signal, of_gate), _halves(hidden), strict=True):
                if grad_bias is not None:
                    torch.sum(_in_blocks(half, grad_bias), 1, out=grad_bias[:, :, i, columns].transpose(0, 1))
                torch.sum(half, 0, out=grad_pairs_bias[i, columns])
                torch.mm(inputs[i].t(), half, out=grad_pairs[i, hidden:, columns])
                torch.mm(inputs[i][: rows - late].t(), half[late:], out=grad_pairs[i, :hidden, columns])
                stream.addmm_(half, pairs[i, hidden:, columns].t())
                stream[: rows - late].addmm_(half[late:], pairs[i, :hidden, columns].t())
        return stream.view(grad.shape[0], batch, hidden), grad_bias, grad_pairs, grad_pairs_bias, grad_residual, None, None


def _halves(hidden: int) -> tuple[slice, slice]:
    """The columns of the signal and the columns of its gate."""
    return slice(None, hidden), slice(hidden, None)


def _tanh_(x: Tensor) -> Tensor:
    """tanh in place, more than twice as fast as torch's own on a CPU. It loses the last bits of small values: too few to matter in
    float32, but nearly all in bfloat16."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1) if x.device.type == "cpu" and x.dtype == torch.float32 else x.tanh_()


def _in_blocks(half: Float[Tensor, "rows hidden"], bias: Tensor) -> Float[Tensor, "blocks steps batch hidden"]:
    """The rows as blocks of steps, for a bias (batch, blocks, layers, gates)."""
    batch, blocks = bias.shape[:2]
    return half.view(blocks, -1, batch, half.shape[-1])
