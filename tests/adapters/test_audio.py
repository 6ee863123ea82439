"""The calling names of the audio tokenizers of transformers."""

from pathlib import Path

import pytest
import torch

from tests.models.test_speech import make
from tests.pipeline.test_model import tokenizer as image_tokenizer
from vqvae.adapters import AudioTokenizer
from vqvae.errors import ConfigError, DataError
from vqvae.pipeline import Pipeline, save
from vqvae.signals import sound


def wrapped(encoder: str = "raw") -> AudioTokenizer:
    return AudioTokenizer(Pipeline(make("spectral", encoder), signal=sound(2000), label_names=("ann", "bob")))


def recordings(*lengths: int) -> list[torch.Tensor]:
    return [torch.rand(1, length, generator=torch.Generator().manual_seed(length)) * 2 - 1 for length in lengths]


def padded(parts: list[torch.Tensor], left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    time = max(part.shape[1] for part in parts)
    x, mask = torch.zeros(len(parts), 1, time), torch.zeros(len(parts), time, dtype=torch.int64)
    for row, part in enumerate(parts):
        place = slice(time - part.shape[1], None) if left else slice(part.shape[1])
        x[row, :, place], mask[row, place] = part, 1
    return x, mask


def test_it_says_what_others_ask_for() -> None:
    model = wrapped()
    assert model.sampling_rate == model.config.sampling_rate == 2000
    assert model.config.hop_length == 32 and model.config.frame_rate == 62.5
    assert model.config.codebook_size == 8 and model.config.num_quantizers == 1 and model.eval().to("cpu").device.type == "cpu"


@pytest.mark.parametrize("encoder", ["raw", "normalised"])
@pytest.mark.parametrize("left", [False, True])
def test_padding_does_not_change_codes(encoder: str, left: bool) -> None:
    model, parts = wrapped(encoder), recordings(320, 100, 257)
    x, mask = padded(parts, left)
    found = model.encode(x, mask if left else mask.unsqueeze(1).bool())
    assert found.audio_codes.shape == (3, 1, 10) and found[0] is found.audio_codes
    for row, part in enumerate(parts):
        alone = model.encode(part[None]).audio_codes[0]
        assert torch.equal(found.audio_codes[row][:, found.audio_codes_mask[row]], alone)
        assert not found.audio_codes[row][:, ~found.audio_codes_mask[row]].any()


def test_decoding_with_the_mask_puts_recordings_where_they_were() -> None:
    model, parts = wrapped(), recordings(320, 100)
    x, mask = padded(parts)
    codes = model.encode(x, mask).audio_codes
    values = model.decode(codes, mask, speaker="bob").audio_values
    assert values.shape == x.shape and not values[1, :, 100:].any()
    assert torch.equal(values[1:, :, :100], model(parts[1][None], speaker=1).audio_values)
    assert model.decode(codes, speaker=0).audio_values.shape == (2, 1, 320)
    assert model(x, mask, speaker=0).audio_codes.equal(codes)


def test_a_run_folder_is_loaded(tmp_path: Path) -> None:
    model = wrapped()
    save(model.pipeline, tmp_path / "run")
    x = recordings(64)[0][None]
    assert torch.equal(AudioTokenizer.from_pretrained(tmp_path / "run").encode(x).audio_codes, model.encode(x).audio_codes)


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ConfigError, match="takes sound with a sample rate"):
        AudioTokenizer(Pipeline(image_tokenizer()))
    model, (x, mask) = wrapped(), padded(recordings(64, 40))
    with pytest.raises(DataError, match=r"expected \(batch, time\) = \(2, 64\)"):
        model.encode(x, mask[:, :50])
    for wrong in (torch.zeros_like(mask), mask * (torch.arange(64) != 10)):
        with pytest.raises(DataError, match="one run of ones"):
            model.encode(x, wrong)
    with pytest.raises(DataError, match="stand for 32"):
        model.decode(torch.zeros(2, 1, 1, dtype=torch.int64), mask, speaker=0)
    with pytest.raises(ConfigError, match="ann, bob"):
        model.decode(torch.zeros(2, 1, 1, dtype=torch.int64))
