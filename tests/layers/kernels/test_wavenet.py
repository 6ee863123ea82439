"""The WaveNet in one kernel draws what the PyTorch loop draws."""

import pytest
import torch
from torch import Tensor

pytest.importorskip("numba")

from tests.layers.test_wavenet import SIZE, make, random_bias, random_values
from tests.layers.test_wavenet_decoding import BLOCK, TIME, numbers
from vqvae.layers.autoregressive import Choice, extend

CHOICES = [Choice(), Choice(0.0), Choice(0.5, top_k=3), Choice(top_p=0.6)]


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("books", [1, 3])
@pytest.mark.parametrize("int8", [False, True])
def test_the_kernel_draws_what_the_loop_draws(choice: Choice, books: int, int8: bool) -> None:
    # 9 inputs and 13 outputs are no multiples of what the kernel takes at a time.
    model, uniforms = make(num_codebooks=books, residual=9, skip=13), numbers(3)
    bias = random_bias(model, 3, TIME // BLOCK)
    prefix = torch.full((3, 20), -1)
    prefix[:, :5], prefix[1, 9], prefix[2, 12:] = 1, 4, 2
    states = [model.start(3, bias, block=BLOCK, prefix=prefix, int8=int8) for _ in range(2)]
    loop, kernel = (extend(model, state, uniforms, choice, compiled=flag) for flag, state in zip((False, True), states, strict=True))
    assert torch.equal(loop, kernel)
    known = prefix >= 0
    assert torch.equal(kernel[:, :20][known], prefix[known]) and prefix[0, 5] == -1
    assert kernel.min() >= 0 and kernel.max() < SIZE
    # Given another past, the rest differs.
    other = extend(
        model, model.start(3, bias, block=BLOCK, prefix=prefix.where(prefix != 1, 3), int8=int8), uniforms, choice, compiled=True
    )
    assert not torch.equal(other[:, 5:9], kernel[:, 5:9]) or choice.temperature == 0


@pytest.mark.parametrize("int8", [False, True])
def test_the_logits_of_the_kernel_are_those_of_the_whole(int8: bool) -> None:
    # A value is drawn exactly where the cumulative probability passes its number: numbers a little on either side show the logits.
    model, values = make(scale=1.0), random_values(1, TIME)
    p = (model.rounded_to_int8() if int8 else model)(values).softmax(-1).cumsum(-1).double().detach()[0]
    for shift in (-1e-4, 1e-4):
        border = p[torch.arange(TIME), 1] + shift
        for t in (0, 1, 7, 20, TIME - 1):
            state = model.start(1, prefix=values[:, :t], int8=int8)
            uniforms = numbers(1, t + 1)
            uniforms[0, t] = border[t]
            drawn = extend(model, state, uniforms, compiled=True)
            assert drawn[0, :t].equal(values[0, :t]) and drawn[0, t] == (1 if shift < 0 else 2)


def test_several_examples_are_drawn_as_each_alone() -> None:
    model, uniforms = make(), numbers(4)
    bias = random_bias(model, 4, TIME // BLOCK)

    def drawn(rows: list[int], compiled: bool) -> Tensor:
        return extend(model, model.start(len(rows), bias[rows], block=BLOCK), uniforms[rows], compiled=compiled)

    together = drawn([0, 1, 2, 3], True)
    assert torch.equal(together, torch.cat([drawn([i], True) for i in range(4)]))
    assert torch.equal(together, drawn([0, 1, 2, 3], False))
    assert drawn([], True).shape == drawn([], False).shape == (0, TIME)
