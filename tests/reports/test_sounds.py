"""Rows of sounds."""

import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from vqvae.reports.colours import code_colours
from vqvae.reports.sounds import Row, Sound, picture, sound_rows


def test_each_sound_has_a_player_a_wave_a_spectrogram_and_codes() -> None:
    codes = torch.tensor([[0, 2, 1, 2]])
    wave = torch.linspace(-1, 1, 4_000)
    text = sound_rows([Row("clip", (Sound("original", wave, 8_000, codes, 3), Sound("voice", 0.5 * wave, 8_000)))])
    for words in ("<h3>clip</h3>", "waveform, original, 0.50 s", "spectrogram, original", "codes, original", "spectrogram, voice"):
        assert words in text, words
    assert text.count("<audio") == 2 and "codes, voice" not in text
    stored = re.search(r'alt="codes, original" src="data:image/png;base64,([^"]*)"', text)
    assert stored is not None
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(stored[1])))), code_colours(codes.numpy(), 3))


def test_a_sound_too_short_for_a_spectrogram_still_plays() -> None:
    text = sound_rows([Row("clip", (Sound("short", torch.zeros(3), 8_000), Sound("empty", torch.zeros(0), 8_000)))])
    assert text.count("<audio") == 2 and "spectrogram, short" not in text


def test_a_picture_is_enlarged_and_has_words() -> None:
    text = picture(np.zeros((2, 3, 3), np.uint8), "a <b>", zoom=4)
    assert 'width="12" height="8" alt="a &lt;b&gt;"' in text
