"""Pitch of waves whose pitch is known, and the difference function beside its definition."""

import math

import numpy as np
import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.speech.pitch import _difference, f0, f0_error

RATE = 16_000


def tone(hertz: float | torch.Tensor, seconds: float = 0.5, harmonics: int = 1, rate: int = RATE) -> torch.Tensor:
    phase = torch.as_tensor(hertz, dtype=torch.float64).expand(int(seconds * rate)).cumsum(0) * 2 * math.pi / rate
    return sum(0.3 / i * torch.sin(i * phase) for i in range(1, harmonics + 1)).float()


def noise(time: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(time, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
@pytest.mark.parametrize("harmonics", [1, 8])
@pytest.mark.parametrize("hertz", [70.0, 101.3, 187.5, 261.6, 440.0])
def test_a_tone_has_its_pitch(hertz: float, harmonics: int, rate: int) -> None:
    found = f0(tone(hertz, harmonics=harmonics, rate=rate), rate)
    assert found.hertz.dtype == torch.float32 and 48 <= len(found.hertz) <= 51
    middle = slice(4, -4)
    assert found.voiced[middle].all()
    # What a parabola leaves of the lag's fraction, which weighs more where the period has few samples.
    assert (1200 * (found.hertz[middle] / hertz).log2()).abs().max() < (2 if rate > 40 * hertz else 6)


def test_a_missing_fundamental_is_found() -> None:
    wave = tone(360.0) + tone(480.0) + tone(600.0)
    assert f0(wave, RATE).hertz[4:-4].numpy() == pytest.approx(120, rel=1e-3)


def test_a_glide_is_followed() -> None:
    hertz = torch.linspace(100, 200, RATE)
    found = f0(tone(hertz, 1.0, harmonics=5), RATE).hertz[4:-4]
    assert found.numpy() == pytest.approx(hertz[80::160][4:-4].numpy(), rel=0.01)


def test_noise_and_silence_have_none() -> None:
    for wave in (0.1 * noise(RATE), torch.zeros(RATE), 1e-5 * tone(150.0, 1.0), torch.full((RATE,), 0.0)):
        found = f0(wave, RATE)
        assert not found.voiced.any() and not found.hertz.any()


def test_a_voice_begins_and_ends_where_it_does() -> None:
    wave = torch.cat([torch.zeros(8000), tone(150.0, harmonics=4), 0.05 * noise(8000)])
    voiced = f0(wave, RATE).voiced
    assert voiced[53:97].all() and not voiced[:48].any() and not voiced[102:].any()


def test_the_hum_between_words_is_no_voice() -> None:
    word = tone(150.0, harmonics=4)
    hum = tone(100.0, 1.5)
    wave = 0.005 * hum + torch.cat([torch.zeros(8000), word, torch.zeros(8000)])
    voiced = f0(wave, RATE).voiced
    assert voiced[53:97].all() and not voiced[:48].any() and not voiced[102:].any()
    # Alone it is the loudest.
    assert f0(0.005 * hum, RATE).voiced[4:-4].all()


@pytest.mark.parametrize("hertz", [9.0, 50.0, 55.0])
def test_what_is_lower_than_a_voice_is_none(hertz: float) -> None:
    assert not f0(tone(hertz), RATE).voiced[4:-4].any()


def test_a_hoarse_voice_has_its_pitch() -> None:
    wave = tone(140.0, 1.0, harmonics=6)
    # So much noise that hardly a dip is below 0.15, and twice the period is the deepest in every other frame.
    found = f0(wave + 0.5 * float(wave.std()) * noise(RATE), RATE)
    near = (found.hertz[4:-4] / 140 - 1).abs() < 0.05
    assert near.float().mean() > 0.9


def test_rows_of_a_batch_are_alike() -> None:
    waves = torch.stack([tone(120.0), 0.1 * noise(8000), tone(300.0)])
    found = f0(waves, RATE)
    for row, wave in enumerate(waves):
        alone = f0(wave, RATE)
        assert torch.equal(found.voiced[row], alone.voiced)
        torch.testing.assert_close(found.hertz[row], alone.hertz)


def test_the_difference_is_that_of_its_definition() -> None:
    wave, hop, window, lags = noise(400).double(), 80, 50, 40
    found, _ = _difference(wave, hop, window, lags)
    span = window + lags - 1
    padded = np.pad(wave.numpy(), 200)
    for frame in range(5):
        first = 200 + frame * hop - (span - hop) // 2
        x = padded[first : first + span]
        expected = [((x[:window] - x[lag : lag + window]) ** 2).sum() for lag in range(lags)]
        np.testing.assert_allclose(found[frame], expected, atol=1e-10)


def test_errors_are_in_cents_and_shares_of_frames() -> None:
    semitone = 2 ** (1 / 12)
    same = f0_error(tone(200.0), tone(200.0), RATE)
    assert same.cents == 0 and same.voicing == 0
    assert f0_error(tone(200.0), tone(200.0 * semitone), RATE).cents == pytest.approx(100, abs=3)
    assert f0_error(tone(200.0 * semitone), tone(200.0), RATE).cents == pytest.approx(100, abs=3)
    half = torch.cat([tone(200.0)[:4000], 0.1 * noise(4000)])
    found = f0_error(tone(200.0), half, RATE)
    assert found.voicing == pytest.approx(0.5, abs=0.05) and found.cents < 20
    silent = f0_error(tone(200.0), torch.zeros(8000), RATE)
    assert math.isnan(silent.cents) and silent.voicing == pytest.approx(1, abs=0.1)


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(DataError, match="8000 and 7999 samples"):
        f0_error(tone(200.0), tone(200.0)[1:], RATE)
    with pytest.raises(DataError, match="at least 160"):
        f0(torch.zeros(159), RATE)
    with pytest.raises(ConfigError, match="at least 2000"):
        f0(torch.zeros(1590), 1000)
