"""Audio that commands read and write."""

from pathlib import Path

import numpy as np
import pytest
import torch

import vqvae
from vqvae.cli.sounds import check_file, check_folder, read_wave, reconstruct_audio, write_sounds
from vqvae.data import read_audio, write_audio
from vqvae.errors import ConfigError, DataError


def test_names_are_checked_before_the_work() -> None:
    check_folder(Path("voices"))
    check_file(Path("a.WAV"))
    check_file(Path("a.flac"))
    with pytest.raises(ConfigError, match=r"voices.wav ends in '.wav'; the name of a folder"):
        check_folder(Path("voices.wav"))
    for name in ("a.mp3", "a"):
        with pytest.raises(ConfigError, match="written as .wav or .flac"):
            check_file(Path(name))


def test_a_wave_comes_at_the_rate_of_the_model(speech_run: Path, run: Path, tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", np.zeros(800, np.float32), 8_000)
    assert read_wave(tmp_path / "a.wav", vqvae.load(speech_run)).shape == (1, 1, 1_600)
    with pytest.raises(ConfigError, match="trained on images"):
        read_wave(tmp_path / "a.wav", vqvae.load(run))
    (tmp_path / "text.wav").write_text("no wave")
    with pytest.raises(DataError, match="text.wav"):
        read_wave(tmp_path / "text.wav", vqvae.load(speech_run))


def test_each_sound_has_a_file_of_its_name(tmp_path: Path) -> None:
    sounds = torch.stack([torch.full((1, 10), 0.5), torch.full((1, 10), -0.25)])
    write_sounds(sounds, 16_000, tmp_path / "out", ["a", "b"])
    for name, level in (("a", 0.5), ("b", -0.25)):
        assert np.array_equal(read_audio(tmp_path / "out" / f"{name}.wav", 16_000), np.full(10, level, np.float32))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="could not be written.*Choose another place"):
        write_sounds(sounds, 16_000, tmp_path / "file", ["a", "b"])


def test_reconstructions_are_those_of_the_model_with_their_distance(speech_run: Path, tmp_path: Path) -> None:
    wave = np.random.default_rng(1).normal(0, 0.1, 4_000).astype(np.float32)
    write_audio(tmp_path / "a.wav", wave, 16_000)
    model = vqvae.load(speech_run)
    scores = reconstruct_audio(model, [tmp_path / "a.wav"], tmp_path / "out", "en-us+m3")
    assert list(scores) == [str(tmp_path / "a.wav")] and scores[str(tmp_path / "a.wav")] > 0
    expected = model.reconstruct(read_wave(tmp_path / "a.wav", model), "en-us+m3")
    torch.testing.assert_close(torch.from_numpy(read_audio(tmp_path / "out" / "a.wav", 16_000)), expected[0, 0], rtol=0, atol=1e-4)
