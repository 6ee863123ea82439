"""Files of every kind, compressed and restored."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.test_compress import RUN, SPEECH
from tests.models import own
from tests.models.test_base import make as make_levels
from vqvae import load
from vqvae.cli.compressed import check_file, compress_file, decompress_file, read_facts, suffix_of
from vqvae.codec import stream
from vqvae.errors import BitstreamError, DataError
from vqvae.evaluation.kinds import ARRAYS, PICTURES, SOUND, VIDEO
from vqvae.likelihoods import GaussianConfig, PixelDistanceConfig
from vqvae.media.images import read_image
from vqvae.media.png import write_png_rows
from vqvae.media.sounds import read_audio, write_audio
from vqvae.media.video import write_video
from vqvae.models import tiling
from vqvae.pipeline import Pipeline
from vqvae.pipeline.compression import coders_of


def restored(file: Path, model: Pipeline, speaker: str | None = None, label: int | None = None) -> Path:
    small = file.with_suffix(".vqz")
    assert compress_file(file, model, small, coders_of(model, "packed"), label) == small.stat().st_size
    check_file(small, model)
    out = file.parent / "out" / "restored.png"
    out = out.with_suffix({".npy": ".npy", ".gif": ".npy", ".wav": ".wav"}.get(file.suffix, ".png"))
    decompress_file(small, model, out, speaker)
    return out


def test_large_pictures_are_read_and_written_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 70, 45), dtype=np.uint8)
    write_png_rows(tmp_path / "x.png", [pixels], (70, 45))
    model = load(RUN)
    whole = read_image(restored(tmp_path / "x.png", model))
    assert np.array_equal(whole, model.reconstruct(torch.from_numpy(pixels)[None])[0].numpy())
    data = (tmp_path / "x.vqz").read_bytes()
    monkeypatch.setattr(tiling, "LARGE", 1000)
    monkeypatch.setattr(tiling, "_INSIDE", 400)
    assert np.array_equal(read_image(restored(tmp_path / "x.png", model)), whole)
    assert (tmp_path / "x.vqz").read_bytes() == data


def test_recordings_come_and_go_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, 40_001).astype(np.float32)
    write_audio(tmp_path / "x.wav", wave, 16_000)
    model = load(SPEECH)
    made = read_audio(restored(tmp_path / "x.wav", model, "two"), 16_000)
    expected = model.reconstruct(torch.from_numpy(read_audio(tmp_path / "x.wav", 16_000))[None, None], "two")[0, 0].numpy()
    assert made.shape == (40_001,) and np.abs(made - expected).max() < 1e-3
    monkeypatch.setattr(stream, "SECTION", 300)
    again = read_audio(restored(tmp_path / "x.wav", model, None, 1), 16_000)
    header, coded = read_facts(tmp_path / "x.vqz")
    assert header.parts() == 9 and header.label == 1 and coded > 900
    assert np.abs(again - made).max() < 1e-3


def test_arrays_and_clips_and_levels_come_back(tmp_path: Path) -> None:
    arrays = Pipeline(own.plain(PixelDistanceConfig(channels=2, levels=None).build(), 1))
    np.save(tmp_path / "x.npy", own.data(2, 33).numpy())
    made = np.load(restored(tmp_path / "x.npy", arrays))
    assert made.shape[-2:] == (2, 33) and np.isfinite(made).all()
    clips = Pipeline(own.plain(GaussianConfig(channels=3).build(), 3))
    frames = np.random.default_rng(0).integers(0, 256, (5, 3, 9, 8), dtype=np.uint8)
    write_video(tmp_path / "x.gif", frames, 10.0)
    assert np.load(restored(tmp_path / "x.gif", clips)).size == frames.size
    levels = Pipeline(make_levels())
    write_png_rows(tmp_path / "y.png", [np.full((3, 9, 6), 7, np.uint8)], (9, 6))
    assert read_image(restored(tmp_path / "y.png", levels)).shape == (3, 9, 6)
    assert [suffix_of(kind) for kind in (PICTURES, SOUND, VIDEO, ARRAYS)] == [".png", ".wav", ".mp4", ".npy"]


def test_a_fault_in_the_middle_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SECTION", 300)
    write_audio(tmp_path / "x.wav", np.zeros(40_000, np.float32), 16_000)
    model = load(SPEECH)
    restored(tmp_path / "x.wav", model, "two")
    small = tmp_path / "x.vqz"
    small.write_bytes(small.read_bytes()[:-1])
    with pytest.raises(BitstreamError, match=r"x\.vqz is truncated"):
        decompress_file(small, model, tmp_path / "bad" / "x.wav", "two")
    assert not list(tmp_path.glob("bad/*")) and not list(tmp_path.glob("bad/.*"))
    with pytest.raises(DataError, match=r"none\.vqz cannot be read"):
        read_facts(tmp_path / "none.vqz")
    with pytest.raises(DataError, match="cannot be read"):
        read_facts(tmp_path)
