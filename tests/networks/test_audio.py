"""Encoders of audio: strides, what a latent sees, pieces as the whole, silence around a wave, and errors."""

from dataclasses import replace

import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.networks import (
    AudioEncoder,
    AudioEncoderConfig,
    Encoder,
    LogMelEncoder,
    LogMelEncoderConfig,
)
from vqvae.signals import pictures, sound

DIM = 3


def raw(*strides: int, blocks: int = 1) -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoderConfig(strides=strides, width=4, residual_blocks=blocks).build(sound(), DIM).eval()


def mel(*strides: int, window: int = 40) -> LogMelEncoder:
    torch.manual_seed(0)
    config = LogMelEncoderConfig(rate=4000, window=window, hop=16, mels=5, strides=strides, width=4, residual_blocks=1)
    return config.build(sound(), DIM).eval()


MADE = {
    "2": raw(2),
    "2-2-2": raw(2, 2, 2),
    "5-4-2": raw(5, 4, 2, blocks=2),
    "1-3": raw(1, 3, blocks=0),
    "narrow": AudioEncoderConfig(strides=(2, 2, 2), width=8, first_width=2).build(sound(), DIM).eval(),
    "mel": mel(2),
    "mel-3-2": mel(3, 2),
}
every = pytest.mark.parametrize("model", MADE.values(), ids=list(MADE))


def wave(time: int, batch: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(batch, 1, time, generator=torch.Generator().manual_seed(1)).clamp(-5, 5)


def test_strides_of_the_paper() -> None:
    for strides, stride in (((2,) * 6, 64), ((2,) * 7, 128), ((5, 4, 4, 4, 2), 640)):
        assert AudioEncoderConfig(strides=strides, width=4).build(sound(), DIM).stride == (stride,)
    assert AudioEncoderConfig().build(sound(), 64).stride == (64,)
    assert LogMelEncoderConfig(width=4).build(sound(), DIM).stride == (640,)


@every
def test_one_latent_a_stride(model: Encoder) -> None:
    (stride,) = model.stride
    assert model(wave(5 * stride, batch=2)).shape == (2, DIM, 5)
    assert model(wave(stride)).shape == (1, DIM, 1)
    assert model(wave(5 * stride, batch=0)).shape == (0, DIM, 5)


@every
def test_a_latent_sees_its_context_and_no_more(model: Encoder) -> None:
    (stride,), (context,) = model.stride, model.context
    frames = 2 * (context // stride) + 5
    middle = frames // 2
    x = wave(frames * stride).requires_grad_()
    model(x)[0, :, middle].abs().sum().backward()
    seen = x.grad[0, 0].nonzero()
    first, last = int(seen[0]), int(seen[-1])
    before, after = middle * stride - first, last - (middle * stride + stride - 1)
    assert before <= context and after <= context
    # A Hann window is 0 at its first sample; odd strides look one step further after than before.
    assert max(before, after) >= context - 1


@every
def test_pieces_with_their_context_give_what_the_whole_gives(model: Encoder) -> None:
    (stride,), (context,) = model.stride, model.context
    x, around = wave(24 * stride), -(-context // stride)
    whole = model(x)
    for first in range(0, 24, 5):
        last = min(first + 5, 24)
        start, stop = max(first - around, 0), min(last + around, 24)
        piece = model(x[..., start * stride : stop * stride])[..., first - start : last - start]
        # Sums of the same numbers, in an order that the length may change.
        torch.testing.assert_close(piece, whole[..., first:last], rtol=1e-4, atol=1e-5)


@every
def test_there_is_silence_around_a_wave(model: Encoder) -> None:
    (stride,), (context,) = model.stride, model.context
    around = -(-context // stride)
    x = wave(4 * stride)
    padded = torch.nn.functional.pad(x, (around * stride, around * stride))
    torch.testing.assert_close(model(padded)[..., around:-around], model(x), rtol=1e-4, atol=1e-5)


@every
def test_every_parameter_learns(model: Encoder) -> None:
    model.zero_grad()
    model(wave(8 * model.stride[0], batch=2)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_loudness_does_not_overflow_a_spectrum_and_silence_is_its_floor() -> None:
    model = mel(2)
    seen = {}
    hook = model.trunk.register_forward_pre_hook(lambda module, given: seen.update(spectra=given[0]))
    model(torch.zeros(1, 1, 320))
    torch.testing.assert_close(seen["spectra"], torch.full_like(seen["spectra"], -1))
    model((2 * torch.pi * torch.arange(320) / 8).sin().view(1, 1, -1))
    hook.remove()
    assert 0.8 < float(seen["spectra"].max()) < 1


def test_what_is_everywhere_in_a_recording_is_taken_off() -> None:
    torch.manual_seed(0)
    config = LogMelEncoderConfig(rate=4000, window=40, hop=16, mels=5, strides=(2,), width=4, residual_blocks=1)
    plain, model = (replace(config, normalise=normalise).build(sound(), DIM).eval() for normalise in (False, True))
    plain.load_state_dict(model.state_dict())
    x = 0.1 * wave(40 * 32)
    inside = slice(3, -3)
    # The silence around a recording is as quiet beside a quiet one.
    torch.testing.assert_close(model(x / 10)[..., inside], model(x)[..., inside], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(plain(x / 10)[..., inside], plain(x)[..., inside], rtol=1e-3, atol=1e-2)
    # Neither pauses nor what fills a recording up counts, so what is said stays the same beside them.
    longer = torch.nn.functional.pad(x, (0, 40 * 32))
    torch.testing.assert_close(model(longer)[..., :36], model(x)[..., :36], rtol=1e-4, atol=1e-5)
    assert model(torch.zeros(1, 1, 320)).isfinite().all() and model(x[:0]).shape == (0, DIM, 40)
    assert model.context[0] > 10**12, "no stream is encoded before its end"


def test_wrong_input_is_an_error() -> None:
    for model in (raw(2), mel(2)):
        with pytest.raises(DataError, match="Divide it by 32768"):
            model(torch.zeros(1, 1, 64, dtype=torch.int16))
        with pytest.raises(DataError, match="Take the mean"):
            model(torch.zeros(1, 2, 64))
        with pytest.raises(DataError, match="Scale or clip"):
            model(torch.full((1, 1, 64), 2.0))
    with pytest.raises(ConfigError, match="with 3 channels; sound is .* with one"):
        AudioEncoderConfig().build(pictures(), DIM)
    for strides in ((), (2, 0)):
        with pytest.raises(ConfigError, match="strides"):
            raw(*strides)
    with pytest.raises(ConfigError, match="width"):
        AudioEncoderConfig(width=0).build(sound(), DIM)
    with pytest.raises(ConfigError, match="first_width is 0"):
        AudioEncoderConfig(width=8, first_width=0).build(sound(), DIM)


def test_channels_double_from_the_first_width_to_the_width() -> None:
    def widths(first_width: int | None, strides: int) -> list[int]:
        layers = AudioEncoderConfig(strides=(2,) * strides, width=12, first_width=first_width).build(sound(), DIM).trunk.layers
        return [layer.out_channels for layer in layers[: 2 * strides : 2]]

    assert widths(4, 4) == [4, 8, 12, 12] and widths(None, 3) == [12, 12, 12]
    assert widths(40, 2) == [12, 12], "never more than the width"
    assert widths(2, 2) == [2, 12], "residual blocks have the whole width"


@pytest.mark.parametrize("config", [AudioEncoderConfig(width=64), LogMelEncoderConfig(width=64)])
def test_first_weights_tell_one_moment_of_quiet_speech_from_another(config: AudioEncoderConfig | LogMelEncoderConfig) -> None:
    torch.manual_seed(0)
    loudness = torch.rand(1, 1, 16, 1).expand(1, 1, 16, 640).flatten(2)
    latents = config.build(sound(), 16)(0.05 * loudness * torch.randn(1, 1, 10_240))
    assert float(latents.detach().std(2).mean()) > 0.1, "else all latents take the same code"
