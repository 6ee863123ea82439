"""Other codecs."""

import numpy as np
import pytest

from vqvae.errors import DataError
from vqvae.media.lossy import lossy_picture, opus, picture_codecs


@pytest.mark.parametrize("codec", picture_codecs())
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_come_back_smaller_or_nearer(codec: str, channels: int) -> None:
    ramp = np.broadcast_to(np.linspace(0, 255, 40).astype(np.uint8), (channels, 32, 40)).copy()
    ramp[:, 8:16] //= 2
    low, high = (lossy_picture(ramp, codec, quality) for quality in (5, 95))
    assert low.pixels.shape == high.pixels.shape == ramp.shape and low.bytes <= high.bytes
    assert np.abs(high.pixels.astype(int) - ramp).mean() < 6


def test_opus_is_aligned_and_has_the_length_of_the_original() -> None:
    pytest.importorskip("av")
    seconds = np.arange(16_123) / 16_000
    wave = (0.4 * np.sin(2 * np.pi * (200 + 300 * seconds) * seconds)).astype(np.float32)
    made = opus(wave, 16_000, 24_000)
    assert made.wave.shape == wave.shape and np.corrcoef(made.wave, wave)[0, 1] > 0.9 and 500 < made.bytes < 6000
    with pytest.raises(DataError, match="16000"):
        opus(wave, 22_050, 24_000)
