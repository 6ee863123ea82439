"""The dilated stack and its own backward pass, beside the same layers written out."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vqvae.layers.dilated import dilated_gates

TIME, BATCH, HIDDEN = 12, 2, 3
DILATIONS = (1, 2, 4, 16)
LAYERS = len(DILATIONS)


def random(*shape: int, seed: int = 0) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / 2
    return drawn.requires_grad_()


def parts() -> tuple[Tensor, ...]:
    shapes = [(BATCH, 3, LAYERS, 2 * HIDDEN), (LAYERS, 2 * HIDDEN, 2 * HIDDEN), (LAYERS, 2 * HIDDEN), (LAYERS - 1, HIDDEN, HIDDEN)]
    return random(TIME, BATCH, HIDDEN), *(random(*shape, seed=1 + i) for i, shape in enumerate(shapes))


def written_out(x: Tensor, bias: Tensor | None, pairs: Tensor, pairs_bias: Tensor, residual: Tensor, kept: Tensor | None = None) -> Tensor:
    gates = []
    for i, dilation in enumerate(DILATIONS):
        past = F.pad(x, (0, 0, 0, 0, dilation, 0))[: len(x)]
        product = torch.cat([past, x], -1) @ pairs[i] + pairs_bias[i]
        if bias is not None:
            product = product + bias[:, :, i].transpose(0, 1).repeat_interleave(len(x) // bias.shape[1], 0)
        signal, opening = product.chunk(2, -1)
        gates.append(signal.tanh() * opening.sigmoid() * (1 if kept is None else kept[i]))
        if i < LAYERS - 1:
            x = x + gates[-1] @ residual[i]
    return torch.cat(gates, -1)


@pytest.mark.parametrize("has_bias", [False, True])
def test_the_gates_are_those_of_the_layers_written_out(has_bias: bool) -> None:
    x, bias, *weights = parts()
    given = bias if has_bias else None
    torch.testing.assert_close(dilated_gates(x, given, *weights, DILATIONS), written_out(x, given, *weights))


def test_float32_loses_no_more_than_its_last_bits() -> None:
    given = [part.detach().float() for part in parts()]
    for scale in (1e-3, 1.0, 100.0):
        x, *rest = given
        found, exact = (
            dilated_gates(*(part.to(kind) for part in (scale * x, *rest)), DILATIONS) for kind in (torch.float32, torch.float64)
        )
        assert found.dtype == torch.float32
        # Products of three terms each, through four layers; the gates lie between -1 and 1.
        torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("has_bias", [False, True])
def test_the_backward_pass_is_the_derivative(has_bias: bool) -> None:
    given = [part for i, part in enumerate(parts()) if has_bias or i != 1]

    def gates(*tensors: Tensor) -> Tensor:
        x, *rest = tensors
        bias = rest.pop(0) if has_bias else None
        return dilated_gates(x, bias, *rest, DILATIONS)

    assert torch.autograd.gradcheck(gates, given, fast_mode=True)


def test_dropout_scales_what_it_keeps_and_its_gradient_follows() -> None:
    given = parts()
    torch.manual_seed(3)
    kept = torch.empty(TIME * BATCH, LAYERS, HIDDEN, dtype=torch.float64).bernoulli_(0.75).div_(0.75)
    expected = written_out(*given, kept=kept.view(TIME, BATCH, LAYERS, HIDDEN).unbind(2))
    torch.manual_seed(3)
    found = dilated_gates(*given, DILATIONS, dropout=0.25)
    assert (found == 0).any()
    torch.testing.assert_close(found, expected)
    weight = random(*found.shape, seed=9).detach()
    for a, b in zip(torch.autograd.grad((found * weight).sum(), given), torch.autograd.grad((expected * weight).sum(), given), strict=True):
        torch.testing.assert_close(a, b)


def test_bfloat16_is_close_and_leaves_gradients_of_weights_in_float32() -> None:
    x, bias, *weights = [part.detach().float().requires_grad_() for part in parts()]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = dilated_gates(x.bfloat16(), bias, *weights, DILATIONS)
    assert found.dtype == torch.bfloat16
    expected = dilated_gates(x, bias, *weights, DILATIONS)
    # Eight bits of mantissa, over four layers.
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.02)
    close = torch.autograd.grad(found.float().sum(), [bias, *weights])
    for a, b in zip(close, torch.autograd.grad(expected.sum(), [bias, *weights]), strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.05 * float(b.abs().max()))


def test_one_layer_has_no_residual() -> None:
    x, _, pairs, pairs_bias, residual = parts()
    gates = dilated_gates(x, None, pairs[:1], pairs_bias[:1], residual[:0], (1,))
    torch.testing.assert_close(gates, written_out(x, None, pairs, pairs_bias, residual)[..., :HIDDEN])
