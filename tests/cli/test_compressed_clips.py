"""``vqvae compress`` and ``vqvae decompress`` on clips, from video files to video files."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pipeline.test_model import tokenizer
from vqvae import Pipeline, load, save
from vqvae.cli.main import main
from vqvae.media.video import read_video, write_video
from vqvae.models import FrameTokenizer

LOSS = 4.0
"""How far the brightness in an MP4 file may lie from what was written, on average over a clip whose brightness varies by 20 levels."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[float | None, Path]:
    """Runs of clips at 12.5 frames per second, and of clips whose frame rate is unknown."""
    found, inside = {}, tokenizer()
    with torch.no_grad():
        # Codes that differ from place to place and from frame to frame, and a decoder that shows them.
        frames = torch.from_numpy(walk(8, 24, 32))
        latents = inside.encoder(frames).movedim(1, -1).reshape(-1, 4)
        inside.quantizer.codebook.copy_(latents[:: len(latents) // 5][:5][None])
        *_, weight, _ = inside.decoder.parameters()
        weight.mul_(30)
    for rate in (12.5, None):
        model = FrameTokenizer(inside)
        place = tmp_path_factory.mktemp("clips") / "run"
        save(Pipeline(model, signal=dataclasses.replace(model.signal, sample_rate=rate)), place)
        found[rate] = place
    return found


def walk(time: int, height: int, width: int) -> np.ndarray:
    """Grey frames that change smoothly, so that a lossy file keeps them well: (time, 3, height, width)."""
    grey = 128 + 80 * np.sin(np.arange(height)[:, None] / 9 + np.arange(width) / 7 + np.arange(time)[:, None, None] / 3)
    return np.repeat(grey.astype(np.uint8)[:, None], 3, axis=1)


def restored(run: Path, file: Path) -> Path:
    small, out = file.parent / "small", file.parent / "out"
    more = ["--device", "cpu", "--overwrite"]
    assert main(["compress", str(run), str(file), "--out", str(small), "--mode", "packed", *more]) == 0
    assert main(["decompress", str(run), str(small / f"{file.stem}.vqz"), "--out", str(out), *more]) == 0
    return out / f"{file.stem}.mp4"


def brightness(frames: np.ndarray) -> np.ndarray:
    """What an MP4 file stores at full resolution, (time, height, width)."""
    return np.einsum("tchw,c->thw", frames, [0.299, 0.587, 0.114])


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
@pytest.mark.parametrize("shape", [(7, 24, 32), (3, 17, 23), (1, 16, 16)], ids=["even", "odd", "one frame"])
def test_videos_come_back_as_the_model_sees_them(
    runs: dict[float | None, Path], shape: tuple[int, int, int], suffix: str, tmp_path: Path
) -> None:
    file, time = tmp_path / f"walk{suffix}", shape[0]
    write_video(file, walk(*shape), 12.5)
    there = read_video(file)
    made = read_video(restored(runs[12.5], file))
    assert made.frame_rate == pytest.approx(12.5) and len(made.frames) == time
    # MP4 needs an even height and width. A row or a column is added.
    assert made.frames.shape[2:] == tuple(there.frames.shape[2 + axis] + there.frames.shape[2 + axis] % 2 for axis in (0, 1))
    (expected,) = load(runs[12.5]).reconstruct(torch.from_numpy(there.frames).transpose(0, 1)[None]).float()
    expected = brightness(expected.transpose(0, 1).numpy())
    difference = brightness(made.frames)[:, : expected.shape[1], : expected.shape[2]] - expected
    assert np.abs(difference).mean() < LOSS and expected.std() > 20


def test_the_frame_rate_of_a_file_is_kept(runs: dict[float | None, Path], tmp_path: Path) -> None:
    write_video(tmp_path / "fast.mp4", walk(8, 16, 16), 25.0)
    np.save(tmp_path / "array.npy", walk(4, 16, 16))
    # A model without a frame rate takes every frame, at the file's rate.
    made = read_video(restored(runs[None], tmp_path / "fast.mp4"))
    assert (len(made.frames), made.frame_rate) == (8, pytest.approx(25.0))
    assert main(["reconstruct", str(runs[None]), str(tmp_path / "fast.mp4"), "--out", str(tmp_path / "again"), "--device", "cpu"]) == 0
    assert read_video(next((tmp_path / "again").glob("fast*"))).frame_rate == pytest.approx(25.0)
    # One with a frame rate takes half of them.
    made = read_video(restored(runs[12.5], tmp_path / "fast.mp4"))
    assert (len(made.frames), made.frame_rate) == (4, pytest.approx(12.5))
    # An array has no frame rate.
    assert read_video(restored(runs[None], tmp_path / "array.npy")).frame_rate == pytest.approx(10.0)
