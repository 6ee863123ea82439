"""Pictures of sound show it, the same each time; a player holds it."""

import base64
import io
import math
import re
import wave as wav
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from vqvae.errors import DataError
from vqvae.reports.waves import audio_player, error_spectrogram, spectrogram, wave_chart

RATE = 16_000


def sine(hertz: float, time: int = 8000) -> torch.Tensor:
    return 0.5 * torch.sin(2 * math.pi * hertz * torch.arange(time) / RATE)


def outlines(text: str) -> list[np.ndarray]:
    polygons = [one.attrib["points"] for one in ElementTree.fromstring(text).iter() if one.tag.endswith("polygon")]
    return [np.array([point.split(",") for point in points.split()], np.float64) for points in polygons]


def test_high_tones_are_above_and_later_ones_to_the_right() -> None:
    picture = spectrogram(torch.cat([sine(300), sine(3000)]), RATE)
    assert picture.shape == (80, 100, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture, spectrogram(torch.cat([sine(300), sine(3000)]), RATE))
    lightness = picture.sum(-1, dtype=np.int64)
    early, late = lightness[:, 20].argmax(), lightness[:, 80].argmax()
    assert late < early - 20
    assert picture[early, 20].min() > 200 and picture[late, 20].max() == 0


def test_lightness_grows_with_power() -> None:
    picture = spectrogram(torch.cat([sine(1000) * 10 ** (-decibels / 20) for decibels in range(60, -1, -10)]), RATE)
    row = picture.sum(-1, dtype=np.int64).max(0)[25::50]
    assert len(row) == 7 and (np.diff(row) > 40).all()


def test_waves_share_their_scales() -> None:
    loud, soft, short = sine(100), 0.5 * sine(100), sine(100, 4000)
    text = wave_chart("three <waves>", {"original": loud, "same & speaker": soft, "other": short}, RATE)
    words = [one.text for one in ElementTree.fromstring(text).iter() if one.tag.endswith("text")]
    assert words == ["three <waves>", "original", "same & speaker", "other", "0 s", "0.50 s"]
    first, second, third = outlines(text)
    heights = [np.ptp(points[:, 1]) for points in (first, second, third)]
    assert heights == pytest.approx([64, 32, 64], abs=0.3)
    assert np.ptp(third[:, 0]) == pytest.approx(np.ptp(first[:, 0]) / 2, abs=2)
    assert first[:, 1].max() < second[:, 1].min() and second[:, 1].max() < third[:, 1].min()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_no_peak_is_lost(sign: float) -> None:
    wave = torch.zeros(100_000)
    wave[77_777] = sign
    (points,) = outlines(wave_chart("click", {"click": wave}, RATE))
    far = np.abs(points[:, 1] - points[0, 1])
    (peak,) = points[far > 1]
    assert far.max() == 32 and peak[0] - points[0, 0] == 77_777 * 640 // 100_000
    assert (peak[1] < points[0, 1]) == (sign > 0)


def test_few_samples_fill_the_picture() -> None:
    (points,) = outlines(wave_chart("short", {"short": torch.tensor([0.0, 1.0, -1.0, 0.5])}, RATE))
    assert points[:4, 0].tolist() == [12, 172, 332, 492]
    assert points[:4, 1].tolist() == points[:3:-1, 1].tolist()


def test_a_player_holds_the_sound() -> None:
    samples = torch.tensor([0.0, 0.5, -1.0, 1.0, 1.5, -2.0])
    (source,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', audio_player(samples, 22_050))
    with wav.open(io.BytesIO(base64.b64decode(source))) as reader:
        assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 22_050)
        levels = np.frombuffer(reader.readframes(9), "<i2")
    assert levels.tolist() == [0, 16384, -32768, 32767, 32767, -32768]


def test_what_cannot_be_shown_is_an_error() -> None:
    with pytest.raises(DataError, match="not a number"):
        audio_player(torch.tensor([0.0, math.nan]), RATE)
    for waves in ({}, {"empty": torch.zeros(0)}):
        with pytest.raises(DataError, match="at least one"):
            wave_chart("none", waves, RATE)


def test_an_error_is_black_where_sounds_agree() -> None:
    wave = 0.5 * torch.sin(torch.arange(RATE) * 0.3)
    assert not error_spectrogram(wave, wave, RATE).any()
    half = torch.cat([wave[: RATE // 2], torch.zeros(RATE // 2)])
    picture = error_spectrogram(half, wave, RATE).astype(int).sum(2)
    assert not picture[:, :40].any() and picture[:, 60:].max() == 255 + 255 + 224, "what is missing is the brightest"
    quiet = 1e-5 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    assert not error_spectrogram(wave, wave + quiet, RATE)[:20].any(), "noise far below the sound is no error"
