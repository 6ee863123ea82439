"""Mel spectra beside numpy, one filter and one frame at a time."""

import math

import numpy as np
import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.layers.mel import FLOOR, LogMel, mel_filters, power_spectrum

RATE = 16_000


def sine(hertz: float, time: int, amplitude: float = 1.0) -> torch.Tensor:
    return amplitude * torch.sin(2 * math.pi * hertz * torch.arange(time, dtype=torch.float64) / RATE)


@pytest.mark.parametrize(("lowest", "highest"), [(0.0, None), (80.0, 7600.0)])
def test_filters_are_triangles_on_the_mel_scale(lowest: float, highest: float | None) -> None:
    filters = mel_filters(RATE, 1024, 40, lowest, highest).numpy()
    assert filters.shape == (40, 513)
    ends = [1127.0105 * math.log1p(hertz / 700) for hertz in (lowest, highest or RATE / 2)]
    corners = [700 * math.expm1((ends[0] + (ends[1] - ends[0]) * i / 41) / 1127.0105) for i in range(42)]
    for band in (0, 7, 39):
        expected = np.interp(np.arange(513) * RATE / 1024, corners[band : band + 3], [0, 1, 0], left=0, right=0)
        np.testing.assert_allclose(filters[band], expected, atol=1e-4)


@pytest.mark.parametrize(("window", "hop", "time"), [(400, 160, 1000), (401, 160, 480), (64, 64, 200), (50, 80, 200)])
def test_each_frame_is_the_transform_of_the_samples_around_its_own(window: int, hop: int, time: int) -> None:
    wave = torch.randn(2, time, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = power_spectrum(wave, window, hop)
    points = {400: 512, 401: 512, 64: 64, 50: 64}[window]
    assert found.shape == (2, points // 2 + 1, time // hop)
    shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    padded = np.pad(wave.numpy(), ((0, 0), (1000, 1000)))
    for frame in range(time // hop):
        first = 1000 + frame * hop - (window - hop) // 2
        expected = np.abs(np.fft.rfft(padded[:, first : first + window] * shape / shape.sum(), points)) ** 2
        np.testing.assert_allclose(found[:, :, frame], expected, rtol=1e-9, atol=1e-18)


def test_a_sine_peaks_in_its_own_band_and_frame() -> None:
    mel = LogMel(sample_rate=RATE, window=400, hop_length=160, mels=40)
    # 1000 Hz is a bin of 512 points, so its peak is a² / 4 and more in no band.
    wave = torch.cat([torch.zeros(1600), sine(1000, 1600, 0.5).float(), torch.zeros(1600)])
    frames = mel(wave)
    assert frames.shape == (40, 30)
    assert frames[:, 2].max() == pytest.approx(math.log(FLOOR))
    middle = frames[:, 14]
    filters = mel_filters(RATE, 400, 40)
    assert middle.argmax() == filters[:, 32].argmax()
    power = power_spectrum(wave, 400, 160)[:, 14]
    assert power.max() == pytest.approx(0.25**2, rel=1e-3)
    # Louder by 6 dB is log 4 more.
    assert mel(2 * wave)[int(middle.argmax()), 14] - middle.max() == pytest.approx(math.log(4), abs=1e-4)


def test_it_has_no_weights_and_stays_in_float32_under_autocast() -> None:
    mel = LogMel(sample_rate=RATE, window=400, hop_length=160, mels=20)
    assert not mel.state_dict()
    wave = torch.rand(1, 800) - 0.5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mel(wave)
    assert found.dtype == torch.float32 and torch.equal(found, mel(wave))


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ConfigError, match="of 128 mel bands are narrower"):
        mel_filters(RATE, 128, 128)
    with pytest.raises(ConfigError, match="lowest < highest"):
        mel_filters(RATE, 400, 40, 0.0, 9000.0)
    with pytest.raises(ConfigError, match="hop_length is 0"):
        LogMel(sample_rate=RATE, window=400, hop_length=0, mels=40)
    with pytest.raises(DataError, match="159 samples"):
        power_spectrum(torch.zeros(159), 400, 160)


def test_no_waves_have_no_spectra() -> None:
    assert LogMel(sample_rate=RATE, window=400, hop_length=160, mels=40)(torch.zeros(0, 800)).shape == (0, 40, 5)
