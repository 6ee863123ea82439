"""``vqvae demo``, on noise in the place of frames."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import vqvae
from tests.cli.test_imagine import write_clips
from tests.training import tiny
from vqvae import storage
from vqvae.cli.main import main
from vqvae.codes import Level
from vqvae.data import SyntheticImagesConfig, VideosConfig, write_audio
from vqvae.models import FrameTokenizerConfig
from vqvae.networks import AudioEncoderConfig
from vqvae.priors import WorldPriorConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes import RECIPES
from vqvae.recipes.base import pixelcnn
from vqvae.runs.stages import train_tokenizer
from vqvae.training import RunOptions, TrainConfig


def test_both_stages_take_the_flags_and_end_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def tokenizer(path: str | None) -> TrainConfig:
        asked.append(path)
        return tiny.settings(data=SyntheticImagesConfig(count=60, size=16, classes=3))

    small = dataclasses.replace(
        RECIPES["demo"],
        tokenizer=tokenizer,
        prior=lambda level, classes: tiny.settings(model=pixelcnn(level, layers=1, hidden=4, kernel=3)),
    )
    monkeypatch.setitem(RECIPES, "demo", small)
    run = tmp_path / "run"
    assert main(["demo", "--out", str(run), "--data", "frames", "--steps", "3", "--seed", "5", "--json", "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert set(asked) == {"frames", None}, "the report asks for the defaults without data"
    assert json.loads(said.out) == json.loads((run / "metrics.json").read_text())
    assert f"Open {run / 'report.html'}" in said.err and (run / "report.html").exists() and (run / "samples.png").exists()
    for part in ("tokenizer", "prior"):
        training = storage.read(run / part).card.training
        assert (training["steps"], training["seed"]) == (3, 5)
    assert (storage.read(run / "tokenizer").card.recipe, len(json.loads(said.out)["seconds_by_stage"])) == ("demo", 6)


def test_video_starts_from_the_tokenizer_of_the_demo_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_clips(tmp_path / "clips")
    pictures = tiny.settings(data=SyntheticImagesConfig(count=20, size=16, classes=3), steps=2)
    train_tokenizer(pictures, RunOptions(device="cpu", estimate=False), Path("runs/demo"), recipe="demo", scored=False)
    small = {"memory": 4, "width": 4, "blocks": 1, "layers": 1, "hidden": 4, "output_hidden": 4, "reach": 1}

    def tokenizer(path: str | None) -> TrainConfig:
        data = VideosConfig(path="clips", size=16, clip_length=1, frame_rate=5)
        return tiny.settings(model=FrameTokenizerConfig(model=tiny.model()), data=data)

    def prior(level: Level, classes: int) -> TrainConfig:
        return tiny.settings(model=WorldPriorConfig(codebook_size=level.codebook_size, clip_length=4, **small))

    monkeypatch.setitem(RECIPES, "video-demo", dataclasses.replace(RECIPES["video-demo"], tokenizer=tokenizer, prior=prior))
    assert main(["demo", "--modality", "video", "--steps", "2", "--device", "cpu"]) == 0
    training = storage.read(Path("runs/demo-video/tokenizer")).card.training
    assert (training["start_from"], training["steps"]) == ("runs/demo", 2)
    assert Path("runs/demo-video/report.html").exists()


def test_speech_takes_recordings_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("soundfile")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own = RECIPES["speech"]
    parts = {
        "quantizer": EMAQuantizerConfig(dim=4, codebook_size=8),
        "encoder": AudioEncoderConfig(strides=(2,) * 7, width=8, first_width=8, residual_blocks=0),
    }

    def tokenizer(path: str | None) -> TrainConfig:
        whole = own.tokenizer(path)
        decoder = dataclasses.replace(whole.model.decoder, width=8, blocks=1)
        return dataclasses.replace(whole, model=dataclasses.replace(whole.model, decoder=decoder, **parts))

    def sized(config: TrainConfig, codes: int) -> TrainConfig:
        fitting = own.sized(config, codes)
        assert codes < 1_000 and (fitting.model.layers, fitting.model.residual) == (8, 32)
        return dataclasses.replace(fitting, model=dataclasses.replace(fitting.model, layers=2, residual=4, skip=4, output_hidden=4))

    monkeypatch.setitem(RECIPES, "speech", dataclasses.replace(own, tokenizer=tokenizer, sized=sized))
    noise = np.random.default_rng(0).normal(0, 0.1, 12_000).astype(np.float32)
    for place in ("many/a.wav", "many/b.flac", "voices/her/a.wav", "voices/him/a.wav"):
        write_audio(tmp_path / place, noise, 16_000)
    for data, speakers in (("many", ()), ("voices", ("her", "him")), ("many/a.wav", ())):
        run = tmp_path / "runs" / data
        words = ["demo", "--modality", "speech", "--data", str(tmp_path / data), "--out", str(run), "--steps", "2", "--device", "cpu"]
        assert main(words) == 0
        model = vqvae.load(run)
        assert model.speakers == speakers and model.prior is not None and (run / "report.html").exists()


def test_open_serves_the_run_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    served: list[tuple[object, ...]] = []
    monkeypatch.setattr("vqvae.cli.demo.train_both", lambda *given, **settings: None)
    monkeypatch.setattr("vqvae.cli.demo.read_metrics", lambda run: {})
    monkeypatch.setattr("vqvae.cli.demo.serve", lambda runs, host, *rest, open_page: served.append((runs, host, open_page)))
    assert main(["demo", "--out", str(tmp_path / "run"), "--steps", "1"]) == 0
    assert not served and f"vqvae serve {tmp_path / 'run'} --open" in capsys.readouterr().err
    assert main(["demo", "--out", str(tmp_path / "run"), "--steps", "1", "--open"]) == 0
    assert served == [([tmp_path / "run"], "127.0.0.1", True)]
