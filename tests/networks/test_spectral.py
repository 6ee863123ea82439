"""The decoder through spectra: exact lengths, what a block sees, the inverse transform, speakers."""

import pytest
import torch

from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.networks import SpectralDecoder, SpectralDecoderConfig

DIM = 3


def make(**changes: int) -> SpectralDecoder:
    torch.manual_seed(0)
    settings = {"stride": 32, "speakers": 0, "width": 4, "blocks": 1, "n_fft": 32, "hop": 8}
    return SpectralDecoderConfig(**{**settings, **changes}).build(DIM, 1).eval()


SIZES = [{}, {"hop": 16}, {"n_fft": 16}, {"stride": 8}, {"stride": 24, "blocks": 2}, {"blocks": 0}]
every = pytest.mark.parametrize("sizes", SIZES, ids=str)


def vectors(frames: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, DIM, frames, generator=torch.Generator().manual_seed(1))


@every
def test_a_latent_gives_its_stride_of_samples(sizes: dict[str, int]) -> None:
    model = make(**sizes)
    (stride,) = model.stride
    for frames, batch in ((1, 1), (7, 2), (3, 0)):
        assert model(vectors(frames, batch)).shape == (batch, 1, frames * stride)


@every
def test_a_block_sees_its_context_and_no_more(sizes: dict[str, int]) -> None:
    model = make(**sizes)
    (stride,), (context,) = model.stride, model.context
    z = vectors(2 * context + 5).requires_grad_()
    middle = context + 2
    model(z)[0, 0, middle * stride : (middle + 1) * stride].square().sum().backward()
    seen = z.grad[0].abs().sum(0).nonzero().flatten()
    assert int(seen[0]) >= middle - context and int(seen[-1]) <= middle + context
    assert int(seen[-1]) - int(seen[0]) >= 2 * context - 2


@every
def test_pieces_with_their_context_give_what_the_whole_gives(sizes: dict[str, int]) -> None:
    model, z = make(**sizes), vectors(20)
    (stride,), (context,) = model.stride, model.context
    whole = model(z)
    for first in range(0, 20, 6):
        last = min(first + 6, 20)
        start, stop = max(first - context, 0), min(last + context, 20)
        piece = model(z[..., start:stop])[..., (first - start) * stride : (last - start) * stride]
        torch.testing.assert_close(piece, whole[..., first * stride : last * stride], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("hop", [8, 16])
def test_windows_of_a_wave_give_the_wave_back(hop: int) -> None:
    model = make(hop=hop)
    x = torch.randn(1, 160, generator=torch.Generator().manual_seed(2))
    around = model.overlap * hop + model.edge
    frames = torch.nn.functional.pad(x, (around, around)).unfold(1, 32, hop) * model.window
    spectra = torch.fft.rfft(frames, dim=2).transpose(1, 2)
    wave = model._wave(torch.cat([spectra.abs().clamp(min=1e-9).log(), spectra.angle()], 1))
    torch.testing.assert_close(wave[:, 0], x, rtol=1e-4, atol=1e-5)


def test_the_first_wave_is_about_as_loud_as_speech() -> None:
    torch.manual_seed(0)
    wave = SpectralDecoderConfig(width=32).build(16, 1)(torch.randn(1, 16, 8))
    assert 0.003 < float(wave.detach().std()) < 0.3


def test_every_parameter_learns_and_huge_magnitudes_stay_finite() -> None:
    model = make(speakers=2)
    model(vectors(6, 2), Condition(label=torch.tensor([0, 1]))).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    model.zero_grad()
    with torch.no_grad():
        model.last.bias.fill_(200)
    model(vectors(6), Condition(label=torch.tensor([0]))).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_wave_is_float32_under_autocast() -> None:
    model = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        wave = model(vectors(4))
    assert wave.dtype == torch.float32
    torch.testing.assert_close(wave, model(vectors(4)), rtol=0, atol=0.1 * float(wave.detach().std()))


def test_wrong_settings_and_speakers_are_errors() -> None:
    for changes, match in (
        ({"n_fft": 20}, "multiple of hop"),
        ({"n_fft": 8}, "twice"),
        ({"stride": 12}, "multiple of hop"),
        ({"width": 0}, "not positive"),
        ({"n_fft": 14, "hop": 7, "stride": 7}, "both even"),
    ):
        with pytest.raises(ConfigError, match=match):
            make(**changes)
    with pytest.raises(ConfigError, match="256 parameters"):
        SpectralDecoderConfig().build(DIM, 256)
    with pytest.raises(DataError, match="is missing"):
        make(speakers=2)(vectors(2))
