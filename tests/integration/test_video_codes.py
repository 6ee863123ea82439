"""Clips to codes of several frames: a run from files to imagined frames, and the commands on a clip."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vqvae
from tests.cli.test_imagine import write_clips
from vqvae.cli.arguments import parse
from vqvae.cli.main import main
from vqvae.cli.train import Arguments, _default
from vqvae.data import VideosConfig
from vqvae.errors import ConfigError
from vqvae.likelihoods import GaussianConfig
from vqvae.media.video import write_video
from vqvae.models import VQVAEConfig
from vqvae.networks import VideoDecoderConfig, VideoEncoderConfig
from vqvae.priors import WorldPriorConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.runs.defaults import prior_config
from vqvae.runs.stages import train_prior, train_tokenizer
from vqvae.training import RunOptions, TrainConfig

NETWORK: dict[str, Any] = {"widths": (4, 4), "residual_blocks": 1, "residual_hidden": 4}
OPTIONS = RunOptions(device="cpu", estimate=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of clips with two frames per code, trained for a few steps."""
    folder = tmp_path_factory.mktemp("video")
    write_clips(folder / "clips")
    model = VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=4, codebook_size=8),
        likelihood=GaussianConfig(channels=3),
        encoder=VideoEncoderConfig(**NETWORK),
        decoder=VideoDecoderConfig(**NETWORK),
    )
    data = VideosConfig(path=str(folder / "clips"), size=16, clip_length=5, frame_rate=5)
    place = folder / "run"
    train_tokenizer(
        TrainConfig(model=model, data=data, steps=3, batch_size=2, evaluate_every=0), OPTIONS, place, recipe="own", scored=False
    )
    small = {"memory": 4, "width": 4, "blocks": 1, "layers": 1, "hidden": 4, "output_hidden": 4, "reach": 1}
    prior = WorldPriorConfig(codebook_size=8, clip_length=3, **small)
    train_prior(TrainConfig(model=prior, steps=3, batch_size=2, evaluate_every=0), OPTIONS, place)
    return place


def test_a_prior_without_actions_learns_codes_of_several_frames(run: Path) -> None:
    config = prior_config(run)
    assert isinstance(config.model, WorldPriorConfig) and config.model.actions == 0 and config.model.clip_length == 4
    assert vqvae.load(run).layout == (vqvae.Level(1, 8, (2, 4, 4), (1, 0, 0)),)
    with pytest.raises(ConfigError, match="a code stands for 2 frames"):
        train_prior(dataclasses.replace(config, model=dataclasses.replace(config.model, actions=2)), OPTIONS, run, name="other")


def test_it_imagines_from_a_whole_number_of_codes(run: Path) -> None:
    model = vqvae.load(run)
    known = torch.randint(0, 256, (3, 5, 16, 16), dtype=torch.uint8)
    made = model.imagine(known, steps=3, count=2)
    assert made.shape == (2, 3, 3, 16, 16)
    assert torch.equal(model.imagine(known[:, :4], steps=3), model.imagine(known[:, 1:4], steps=3)), "4 frames do not fill their codes"
    assert model.sample(1, size=(6, 16, 16)).shape == (1, 3, 6, 16, 16)


def test_a_stream_of_frames_is_reconstructed_as_the_whole(run: Path) -> None:
    model, clip = vqvae.load(run), torch.randint(0, 256, (1, 3, 8, 16, 16), dtype=torch.uint8)
    made = torch.cat(list(model.reconstruct_stream(iter(clip.split(1, 2)))), 2)
    torch.testing.assert_close(made.int(), model.reconstruct(clip).int(), rtol=0, atol=1)


def test_the_commands_take_a_clip_of_any_length(run: Path, tmp_path: Path) -> None:
    clip, codes = tmp_path / "clip.gif", tmp_path / "codes.npz"
    write_video(clip, np.random.default_rng(0).integers(0, 256, (6, 3, 16, 16), dtype=np.uint8), 5)
    assert main(["encode", str(run), str(clip), "--out", str(codes)]) == 0
    assert main(["decode", str(run), str(codes), "--out", str(tmp_path / "frames")]) == 0
    assert main(["reconstruct", str(run), str(clip), "--out", str(tmp_path / "again")]) == 0
    made = [path for folder in ("frames", "again") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    assert len(made) >= 2


def test_a_recipe_takes_the_networks_by_flags() -> None:
    words = ["worlds-video", "--model", "vqvae", "--model.encoder", "video", "--model.decoder", "video", "--data.clip-length", "9"]
    config = parse(Arguments, "train", words, "", _default(words)).config
    assert isinstance(config.model, VQVAEConfig) and config.model.quantizer.codebook_size == 512
    assert config.model.encoder == VideoEncoderConfig() and config.model.decoder == VideoDecoderConfig(widths=(128, 64))
