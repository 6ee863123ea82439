"""Cepstra of moments: beside another library's transform, what they do not know, and the voice that says them again."""

from typing import Any

import pytest
import torch
from scipy.fft import dct
from torch.nn import functional as F

from vqvae.errors import ConfigError
from vqvae.layers.cepstra import Cepstra, CepstraConfig
from vqvae.layers.mel import LogMel


def make(**changes: Any) -> Cepstra:
    settings = {"rate": 4000, "window": 40, "hop": 16, "mels": 5, "coefficients": 4}
    return Cepstra(CepstraConfig(**{**settings, **changes}))


def noise(time: int, batch: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(batch, time, generator=torch.Generator().manual_seed(1)).clamp(-5, 5)


def test_features_are_cepstra_of_the_middle_of_a_moment_and_of_its_neighbours() -> None:
    cepstra, x = make(beside=0.25), noise(10 * 64)
    spectra = LogMel(sample_rate=4000, window=40, hop_length=16, mels=5)(x[0].double())
    level = spectra.mean(0)
    spectra = (spectra - spectra[:, level >= level.max() - 6].mean(1, keepdim=True)).clamp(min=-7)
    expected = torch.from_numpy(dct(spectra.numpy(), axis=0, norm="ortho")[:4])
    expected[0] *= 0.3
    middle = (expected[:, 1::4] + expected[:, 2::4]) / 2 / 4
    silence = torch.from_numpy(dct(torch.full((5, 1), -7.0, dtype=torch.float64).numpy(), axis=0, norm="ortho")[:4]) / 4
    silence[0] *= 0.3
    before, after = torch.cat([silence, middle[:, :9]], 1), torch.cat([middle[:, 1:], silence], 1)
    assert (cepstra.stride, cepstra.dim) == (64, 12)
    torch.testing.assert_close(cepstra(x)[0].double(), torch.cat([middle, 0.25 * before, 0.25 * after]), rtol=1e-4, atol=1e-4)
    for spectra_a_moment in (2, 3):
        assert make(spectra=spectra_a_moment)(noise(6 * 16)).shape == (1, 12, 6 // spectra_a_moment)


def test_they_know_neither_the_volume_nor_what_is_everywhere_in_a_recording() -> None:
    cepstra, x = make(), noise(20 * 64)
    torch.testing.assert_close(cepstra(x / 10), cepstra(x), rtol=1e-3, atol=1e-4)
    assert cepstra(x[:0]).shape == (0, 12, 20)


def test_what_a_batch_is_filled_up_with_changes_nothing() -> None:
    cepstra, x = make(), noise(20 * 64)
    torch.testing.assert_close(cepstra(F.pad(x, (0, 20 * 64)))[..., :20], cepstra(x), rtol=1e-5, atol=1e-5)
    quiet = cepstra(torch.zeros(1, 320))
    torch.testing.assert_close(quiet, quiet[..., :1].expand_as(quiet))
    torch.testing.assert_close(cepstra(F.pad(x, (0, 20 * 64)))[..., 21:], quiet[..., :1].expand(-1, -1, 19))


def speech(moments: int) -> torch.Tensor:
    """A buzz at 125 Hz through a resonance that wanders, with a pause."""
    time = torch.arange(moments * 640) / 16_000
    wave = sum((2 * torch.pi * 125 * k * time).sin() / (1 + (k - 8 - 6 * (3 * time).sin()).square()) for k in range(1, 40))
    wave[4 * 640 : 6 * 640] *= 1e-4
    return (0.1 * wave)[None]


def test_the_voice_says_the_features_that_it_is_given() -> None:
    cepstra = Cepstra(CepstraConfig())
    features = cepstra(speech(20))
    wave = cepstra.wave(features)
    assert wave.shape == (1, 20 * 640) and wave.isfinite().all()
    again = cepstra(wave)
    own, told = features[:, :20], again[:, :20]
    # What one recording has in common is not told; apart from that, most of what differs from moment to moment is.
    own, told = (part - part.mean(2, keepdim=True) for part in (own, told))
    assert float((own - told).square().mean() / own.square().mean()) < 0.2
    assert cepstra.wave(features[:0]).shape == (0, 20 * 640) and cepstra.wave(features[..., :0]).shape == (1, 0)


def test_the_voice_is_about_as_loud_as_speech() -> None:
    silent = Cepstra(CepstraConfig()).wave(torch.zeros(1, 60, 20))
    spectra = LogMel(sample_rate=16_000, window=400, hop_length=160, mels=80)(silent)[..., 8:-8]
    expected = -13.4 - 0.046 * torch.arange(80)
    assert float((spectra.mean(2)[0] - expected).abs().mean()) < 1.0


def test_a_moment_of_the_voice_depends_on_two_more_on_each_side() -> None:
    cepstra = make()
    features = torch.randn(1, 12, 20, generator=torch.Generator().manual_seed(0))
    whole = cepstra.wave(features)
    torch.testing.assert_close(cepstra.wave(features[..., 3:12])[:, 2 * 64 : 7 * 64], whole[:, 5 * 64 : 10 * 64])
    other = features.clone()
    other[..., 10] += 1
    changed = (cepstra.wave(other) != whole)[0].nonzero()
    assert int(changed[0]) >= 8 * 64 and int(changed[-1]) < 13 * 64 and len(changed) > 64


def test_settings_that_cannot_be_are_explained() -> None:
    for changes, match in (
        ({"coefficients": 6}, "coefficients is 6"),
        ({"spectra": 0}, "spectra is 0"),
        ({"loudness": 0.0}, "loudness 0"),
        ({"spectra": 1}, "64 points reach beyond"),
    ):
        with pytest.raises(ConfigError, match=match):
            make(**changes)
