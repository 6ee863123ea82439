"""Distances of speech: zero for the same, growing with the damage, and beside scipy's transforms."""

import math
import sys

import numpy as np
import pytest
import torch
from scipy.fft import dct

from vqvae.errors import DataError, MissingExtraError
from vqvae.evaluation.speech.distances import (
    RESOLUTIONS,
    RunningLogMelDistance,
    log_mel_distance,
    mel_cepstra,
    mel_cepstral_distance,
    multi_resolution_stft_distance,
    stoi,
)
from vqvae.layers.mel import FLOOR, LogMel

RATE = 16_000


def speech(seconds: float = 1.0, seed: int = 0, tempo: float = 1.0) -> torch.Tensor:
    """Not speech, but like it: harmonics of 120 Hz under an envelope that changes eight times a second, and pauses."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    corners = np.linspace(0, seconds, int(8 * seconds * tempo) + 1)
    wave = sum(
        np.interp(time, corners, random.random(len(corners)) ** 2) * np.sin(2 * np.pi * 120 * i * time + random.random()) / i
        for i in range(1, 25)
    )
    return torch.from_numpy(0.2 * wave * (np.sin(2 * np.pi * 1.5 * tempo * time) > -0.9)).float()


def noise(like: torch.Tensor, seed: int = 0) -> torch.Tensor:
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def test_equal_waves_are_at_distance_zero_and_noise_takes_them_apart() -> None:
    wave = torch.stack([speech(), speech(seed=1)])
    for distance in (lambda a, b: log_mel_distance(a, b, RATE), multi_resolution_stft_distance):
        assert distance(wave, wave).tolist() == [0, 0]
        before = torch.zeros(2)
        for scale in (1e-3, 1e-2, 1e-1):
            now = distance(wave, wave + scale * noise(wave))
            assert (now > before).all()
            before = now
        # Each by itself, whatever is beside it.
        torch.testing.assert_close(distance(wave[:1], wave[:1] + 0.1 * noise(wave)[:1]), now[:1])


def test_log_mel_distance_is_in_decibels() -> None:
    wave = 0.1 * noise(torch.zeros(1, RATE))
    assert float(log_mel_distance(wave, 2 * wave, RATE)) == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert float(log_mel_distance(2 * wave, wave, RATE)) == pytest.approx(20 * math.log10(2), abs=1e-3)


def test_stft_distance_equals_its_formula() -> None:
    a, b = 0.1 * noise(torch.zeros(4000)), 0.1 * noise(torch.zeros(4000), 1)
    expected = 0.0
    for window, hop in RESOLUTIONS:
        sides = []
        for wave in (a, b):
            before = (window - hop) // 2
            padded = np.pad(wave.double().numpy(), (before, window - hop - before))
            frames = np.stack([padded[first : first + window] for first in range(0, 4000 - hop + 1, hop)])
            shape = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
            sides.append(np.maximum(np.abs(np.fft.rfft(frames * shape / shape.sum())), 0))
        ours, theirs = sides
        floor = math.sqrt(FLOOR)
        convergence = np.linalg.norm(ours - theirs) / np.linalg.norm(ours)
        expected += (convergence + np.abs(np.log(np.maximum(ours, floor) / np.maximum(theirs, floor))).mean()) / 3
    assert float(multi_resolution_stft_distance(a[None], b[None])) == pytest.approx(expected, rel=1e-4)


def test_cepstra_are_a_cosine_transform_and_ignore_loudness() -> None:
    wave = 0.1 * noise(torch.zeros(RATE))
    found = mel_cepstra(wave, RATE)
    frames = LogMel(sample_rate=RATE, window=400, hop_length=80, mels=80)(wave).T
    np.testing.assert_allclose(found, dct(frames.numpy(), type=2, axis=1)[:, 1:14] / 160, atol=1e-5)
    torch.testing.assert_close(mel_cepstra(3 * wave, RATE), found, atol=1e-5, rtol=0)


def test_cepstral_distance_is_the_root_mean_squared_difference_of_smooth_spectra(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two spectra, 80 bands each, that differ by cosines of 3 and 4 dB, and by 9 dB of loudness.
    bands = (torch.arange(80, dtype=torch.float64) + 0.5) / 80
    apart = 3 * torch.cos(math.pi * 2 * bands) + 4 * torch.cos(math.pi * 5 * bands)
    rows = iter([torch.zeros(80, 6, dtype=torch.float64), (apart + 9)[:, None].expand(80, 6) * math.log(10) / 10])
    monkeypatch.setattr(LogMel, "forward", lambda self, wave: next(rows))
    assert mel_cepstral_distance(torch.zeros(480), torch.zeros(480), RATE) == pytest.approx(float(apart.square().mean().sqrt()))


def test_cepstral_distance_bears_another_tempo() -> None:
    wave, other = speech(), speech(seed=1)
    assert mel_cepstral_distance(wave, wave, RATE) == pytest.approx(0, abs=1e-5)
    slow = speech(2.0, tempo=0.5)
    far = mel_cepstral_distance(wave, other, RATE)
    assert mel_cepstral_distance(wave, slow, RATE) < 0.15 * far
    assert mel_cepstral_distance(slow, wave, RATE) == pytest.approx(mel_cepstral_distance(wave, slow, RATE), rel=1e-6)
    assert mel_cepstral_distance(wave, wave + 0.01 * noise(wave), RATE) < mel_cepstral_distance(wave, wave + 0.1 * noise(wave), RATE)


def test_stoi_falls_with_noise() -> None:
    pytest.importorskip("pystoi")
    wave = speech(2.0)
    scores = [stoi(wave, wave + scale * noise(wave), RATE) for scale in (0.0, 0.02, 0.2)]
    assert scores[0] == pytest.approx(1, abs=1e-4) and scores[0] > scores[1] > scores[2]


def test_stoi_of_too_little_is_an_error() -> None:
    pytest.importorskip("pystoi")
    blip = torch.cat([speech(0.2), torch.zeros(RATE)])
    for wave in (speech(0.4), blip, torch.zeros(10)):
        with pytest.raises(DataError, match="of speech in the reference"):
            stoi(wave, wave, RATE)


def test_without_pystoi_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pystoi", None)
    with pytest.raises(MissingExtraError, match=r"vqvae\[speech-scores\]"):
        stoi(torch.zeros(9), torch.zeros(9), RATE)


def test_waves_of_other_lengths_are_an_error() -> None:
    a, b = torch.zeros(1, 800), torch.zeros(1, 801)
    for score in (lambda: log_mel_distance(a, b, RATE), lambda: multi_resolution_stft_distance(a, b)):
        with pytest.raises(DataError, match=r"\(1, 800\) and \(1, 801\)"):
            score()


@pytest.mark.parametrize("size", [1, 37, 500, 5_000])
def test_a_distance_in_pieces_is_that_of_the_whole(size: int) -> None:
    random = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 4_321, generator=random) - 0.5
    running = RunningLogMelDistance(16_000)
    for one, other in zip(first.split(size), second.split(size), strict=True):
        running.add(one, other)
    assert running.value() == pytest.approx(float(log_mel_distance(first[None], second[None], 16_000)), rel=1e-5)
    with pytest.raises(DataError, match="shorter than 5 ms"):
        RunningLogMelDistance(16_000).value()
