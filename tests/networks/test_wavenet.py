"""The WaveNet decoder: shapes, what sees what, step by step as all at once, speakers, prefixes, and errors."""

from typing import Any

import pytest
import torch
from torch import Tensor

from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.autoregressive import sample
from vqvae.networks import Given, WaveNetDecoder, WaveNetDecoderConfig

DIM, LEVELS, STRIDE = 3, 8, 32


def make(parameters: int = LEVELS, **changes: int) -> WaveNetDecoder:
    torch.manual_seed(0)
    settings = {"stride": STRIDE, "levels": LEVELS, "layers": 3, "cycle": 2, "residual": 4, "skip": 5, "condition_hidden": 6, "int8": False}
    model = WaveNetDecoderConfig(**{**settings, **changes}).build(DIM, parameters).eval()
    for parameter in model.parameters():
        # First weights are small; larger ones let every part show.
        parameter.data.mul_(2)
    return model


def vectors(frames: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, DIM, frames, generator=torch.Generator().manual_seed(1))


def bins(time: int, batch: int = 1) -> Tensor:
    return torch.randint(LEVELS, (batch, 1, time), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(("stride", "block"), [(64, 16), (24, 8), (5, 1), (16, 16)])
def test_there_are_parameters_for_every_sample(stride: int, block: int) -> None:
    model = make(stride=stride)
    assert model.block == block and model.stride == (stride,)
    assert model(vectors(3, 2), past=bins(3 * stride, 2)).shape == (2, LEVELS, 3 * stride)
    assert model(vectors(3), past=bins(3 * stride - 1)).shape == (1, LEVELS, 3 * stride)
    assert model(vectors(2, 0), past=bins(2 * stride, 0)).shape == (0, LEVELS, 2 * stride)
    assert make(7, stride=stride)(vectors(1), past=bins(stride)).shape == (1, 7, stride)


def test_a_sample_reaches_later_ones_alone() -> None:
    model, past = make(), bins(64)
    before = model(vectors(2), past=past)
    for time in (0, 17, 63):
        other = past.clone()
        other[0, 0, time] = (other[0, 0, time] + 1) % LEVELS
        changed = (model(vectors(2), past=other) != before).any(1)[0]
        assert not changed[: time + 1].any() and (time == 63 or changed[time + 1])


@pytest.mark.parametrize("stride", [32, 16, 5])
def test_a_vector_reaches_the_gates_of_its_context_and_no_more(stride: int) -> None:
    model = make(stride=stride)
    (context,) = model.context
    z = vectors(2 * context + 5).requires_grad_()
    middle = context + 2
    model.gate_bias(z, Condition())[0, middle * model.ratio : (middle + 1) * model.ratio].square().sum().backward()
    seen = z.grad[0].abs().sum(0).nonzero().flatten()
    assert int(seen[0]) == middle - context and int(seen[-1]) in (middle + context, middle + context - 1)


def test_blocks_lie_symmetrically_around_their_vectors() -> None:
    """Upsampling must not be late or early: with weights that are the same forwards and backwards, so is what they make."""
    model = make()
    with torch.no_grad():
        for convolution in (model.first, model.second, model.upsample):
            convolution.weight.copy_((convolution.weight + convolution.weight.flip(2)) / 2)
    z = vectors(6)
    bias = model.gate_bias(z, Condition())
    torch.testing.assert_close(model.gate_bias(z.flip(2), Condition()).flip(1), bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parameters", [LEVELS, 6])
def test_each_step_gives_the_parameters_of_the_whole(parameters: int) -> None:
    model, past, condition = make(parameters, speakers=2), bins(64, 2), Condition(label=torch.tensor([0, 1]))
    expected = model(vectors(2, 2), condition, past).detach()
    state, code = model.start(2, (64,), Given(vectors(2, 2), condition)), None
    for time in range(64):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found, state = model.step(code, state)
        # Sums in another order, of numbers of about 1.
        torch.testing.assert_close(found, expected[..., time], rtol=1e-4, atol=1e-4)
        code = past[:, 0, time]


def test_another_speaker_and_other_vectors_change_the_wave() -> None:
    model, numbers = make(speakers=2), torch.rand(1, 64, generator=torch.Generator().manual_seed(3))

    def drawn(z: Tensor, speaker: int, **given: Tensor) -> Tensor:
        condition = Given(z, Condition(label=torch.tensor([speaker])))
        return sample(model, 1, (64,), condition=condition, uniforms=numbers, compiled=False, **given)

    wave = drawn(vectors(2), 0)
    assert wave.shape == (1, 1, 64) and torch.equal(wave, drawn(vectors(2), 0))
    assert not torch.equal(wave, drawn(vectors(2), 1)) and not torch.equal(wave, drawn(-vectors(2), 0))
    prefix = torch.full((1, 1, 64), -1)
    prefix[..., :20] = 3
    assert (drawn(vectors(2), 0, prefix=prefix)[..., :20] == 3).all()


def test_every_parameter_learns() -> None:
    model = make(6, speakers=2).train()
    model(vectors(4, 2), Condition(label=torch.tensor([0, 1])), bins(128, 2)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_parameters_are_float32_under_autocast() -> None:
    for parameters in (LEVELS, 6):
        model, given = make(parameters), (vectors(2), Condition(), bins(64))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = model(*given)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, model(*given), rtol=0, atol=0.2 * float(found.detach().std()))


def test_wrong_input_is_an_error() -> None:
    model, z = make(), vectors(2)
    with pytest.raises(DataError, match="past is missing"):
        model(z)
    with pytest.raises(DataError, match="0 to 7"):
        model(z, past=bins(64) + 1)
    for time in (65, 32):
        with pytest.raises(DataError, match=r"expected bins \(1, 1, 64\)"):
            model(z, past=bins(time))
    with pytest.raises(DataError, match=r"they decode to 1 of \(64,\)"):
        model.start(1, (63,), Given(z))
    with pytest.raises(DataError, match="for 2 waves"):
        model.start(2, (64,), Given(z))
    with pytest.raises(DataError, match="prefix"):
        model.start(1, (64,), Given(z), torch.full((1, 1, 60), -1))
    with pytest.raises(ConfigError, match="WaveNetDecoderConfig.layers"):
        make(layers=0)


def test_int8_draws_with_rounded_weights_and_changes_nothing_else() -> None:
    exact, rounded, given = make(residual=6), make(residual=6, int8=True), Given(vectors(4), Condition())
    past = bins(4 * STRIDE)
    assert torch.equal(exact(given.vectors, past=past), rounded(given.vectors, past=past)), "training and scores"

    def drawn(model: WaveNetDecoder, state: Any) -> Tensor:
        logits = []
        for i in range(STRIDE):
            parameters, state = model.step(None if i == 0 else past[:, 0, i - 1], state)
            logits.append(parameters)
        return torch.stack(logits, -1)

    expected = rounded.wavenet.rounded_to_int8()(past[:, 0], rounded.gate_bias(*given)).detach().transpose(1, 2)[..., :STRIDE]
    for state in (rounded.start(1, (4 * STRIDE,), given), rounded.go_on(None, given, slice(0, 4))):
        torch.testing.assert_close(drawn(rounded, state), expected, rtol=0, atol=1e-4)
    assert not torch.allclose(drawn(exact, exact.start(1, (4 * STRIDE,), given)), expected, rtol=0, atol=1e-4)
