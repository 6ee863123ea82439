"""WaveNet value by value: the same logits as all at once, the same values in one kernel, and going on where a call has left."""

import itertools

import pytest
import torch
from torch import Tensor

from tests.layers.test_wavenet import SIZE, make, random_bias, random_values
from vqvae.errors import ConfigError, DataError
from vqvae.layers.autoregressive import Choice, extend
from vqvae.layers.wavenet import WaveNet
from vqvae.layers.wavenet_decoding import WaveNetState, in_blocks, to_int8

BLOCK, TIME = 6, 36
"""The longest queue of ``make`` has four places, so all are used several times."""


def step_by_step(model: WaveNet, state: WaveNetState, values: Tensor, first: Tensor | None = None) -> Tensor:
    """The logits of given values."""
    before, logits = first, []
    for value in values.unbind(1):
        found, state = model.step(before, state)
        logits.append(found)
        before = value
    return torch.stack(logits, 1)


def numbers(batch: int, draws: int = TIME) -> Tensor:
    return torch.rand(batch, draws, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("books", [1, 3])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("layers", [1, 4])
def test_step_by_step_is_all_at_once(books: int, has_bias: bool, layers: int) -> None:
    model, values = make(num_codebooks=books, layers=layers), random_values(2, TIME)
    bias = random_bias(model, 2, TIME // BLOCK) if has_bias else None
    state = model.start(2, bias, block=BLOCK if has_bias else None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = step_by_step(model, state, values)
    assert found.dtype == torch.float32 and state.position == TIME
    torch.testing.assert_close(found, model(values, bias).detach(), rtol=0, atol=1e-4)


def test_float64_stays_float64() -> None:
    model, values = make().double(), random_values(2, TIME)
    torch.testing.assert_close(step_by_step(model, model.start(2), values), model(values).detach(), rtol=0, atol=1e-12)


def test_one_block_holds_for_all_values() -> None:
    model, values = make(), random_values(2, TIME)
    bias = random_bias(model, 2, 1)
    torch.testing.assert_close(step_by_step(model, model.start(2, bias), values), model(values, bias).detach(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("int8", [False, True])
def test_int8_decodes_with_the_rounded_weights(int8: bool) -> None:
    model, values = make(), random_values(2, TIME)
    expected = (model.rounded_to_int8() if int8 else model)(values).detach()
    torch.testing.assert_close(step_by_step(model, model.start(2, int8=int8), values), expected, rtol=0, atol=1e-4)
    assert torch.allclose(expected, model(values), rtol=0, atol=1e-4) != int8


def test_blocks_have_two_inputs_side_by_side() -> None:
    weights = torch.arange(1, 16, dtype=torch.int8).view(3, 5)
    first, second = in_blocks(weights, 4)
    assert first.tolist() == [[1, 6, 2, 7, 3, 8, 4, 9], [11, 0, 12, 0, 13, 0, 14, 0]]
    assert second.tolist() == [[5, 10, 0, 0, 0, 0, 0, 0], [15, 0, 0, 0, 0, 0, 0, 0]]
    assert torch.equal(in_blocks(weights.expand(2, 6, 3, 5), 4)[1, 2], in_blocks(weights, 4))


def test_int8_of_zeros_is_zero() -> None:
    found = to_int8(torch.tensor([[0.0, -2.0], [0.0, 1.0]]))
    assert found.weights.tolist() == [[0, -127], [0, 64]] and found.restored()[:, 0].eq(0).all()


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("int8", [False, True])
def test_several_calls_draw_what_one_call_draws(compiled: bool, int8: bool) -> None:
    pytest.importorskip("numba")
    model, uniforms = make(num_codebooks=2), numbers(2)
    bias = random_bias(model, 2, TIME // BLOCK)
    whole = extend(model, model.start(2, bias, block=BLOCK, int8=int8), uniforms, compiled=compiled)
    state = model.start(2, bias[:, :2], block=BLOCK, int8=int8)
    # Both ways may take turns, inside of a block too: each leaves the state as the other would.
    ways, found = itertools.cycle([compiled, not compiled, not compiled]), []
    for part in uniforms[:, : 2 * BLOCK].split([1, 0, 4, 7], 1):
        found.append(extend(model, state, part, compiled=next(ways)))
    for i, part in zip((2, 4), uniforms[:, 2 * BLOCK :].split([2 * BLOCK] * 2, 1), strict=True):
        state.go_on(bias[:, i : i + 2])
        found.append(extend(model, state, part, compiled=next(ways)))
    assert torch.equal(torch.cat(found, 1), whole) and len(whole.unique()) > 2
    assert state.position == TIME


def test_memory_does_not_grow() -> None:
    model = make()
    state = model.start(1)

    def held() -> dict[str, int]:
        tensors = {name: part for name, part in vars(state).items() if isinstance(part, Tensor)}
        return {name: part.untyped_storage().nbytes() for name, part in tensors.items() if name != "value"}

    before = held()
    extend(model, state, numbers(1, 50), compiled=False)
    assert held() == before


def test_the_kernel_draws_on_a_cpu_whatever_the_size_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    model, calls = make(), []
    fused = model.fused
    monkeypatch.setattr(model, "fused", lambda *given: calls.append(1) or fused(*given))
    extend(model, model.start(100), numbers(100, 1))
    assert calls
    with pytest.raises(ConfigError, match="float32 on a CPU"):
        extend(model.double(), model.start(1), numbers(1), compiled=True)


@pytest.mark.parametrize("compiled", [False, True])
def test_blocks_that_end_too_early_or_too_late_are_errors(compiled: bool) -> None:
    pytest.importorskip("numba")
    model = make()
    state = model.start(1, random_bias(model, 1, 2), block=BLOCK)
    extend(model, state, numbers(1, BLOCK), compiled=compiled)
    with pytest.raises(DataError, match="6 of the 12 values with a bias are drawn"):
        state.go_on(random_bias(model, 1, 1))
    with pytest.raises(DataError, match="Call go_on"):
        extend(model, state, numbers(1, BLOCK + 1), compiled=compiled)
    with pytest.raises(DataError, match="The bias has 2 blocks of length None"):
        model.start(1, random_bias(model, 1, 2))


def test_wrong_prefixes_are_errors() -> None:
    model = make()
    with pytest.raises(DataError, match="1 sequences; expected 2"):
        model.start(2, prefix=torch.zeros(1, 3, dtype=torch.int64))
    for wrong in (-2, SIZE):
        with pytest.raises(DataError, match=f"0 to {SIZE - 1}, with -1"):
            model.start(1, prefix=torch.tensor([[0, wrong]]))


def test_wrong_choices_are_errors() -> None:
    model = make()
    with pytest.raises(ConfigError, match="temperature"):
        extend(model, model.start(1), numbers(1), Choice(-1.0))


def test_weights_are_never_stale() -> None:
    model = make()
    numbers_ = numbers(1, 1)
    for int8 in (False, True):
        before = model.start(1, int8=int8)._packed.logits.clone()
        # As fused optimizers write: the version counter does not move.
        model.logits.data.mul_(-2)
        torch.testing.assert_close(model.start(1, int8=int8)._packed.logits, -2 * before)
    assert extend(model, model.start(1), numbers_).shape == (1, 1)
