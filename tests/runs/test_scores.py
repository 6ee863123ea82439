"""The run that a report shows beside another."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import toy
from tests.runs.test_comparison import scored
from tests.training import tiny
from vqvae import storage
from vqvae.config import to_json
from vqvae.evaluation.base import Evaluation
from vqvae.evaluation.kinds import VIDEO
from vqvae.models import FrameTokenizer, VQVAEConfig
from vqvae.pipeline import Pipeline, save
from vqvae.priors import PixelCNNConfig
from vqvae.runs import scores
from vqvae.runs.comparison import compare
from vqvae.runs.folder import read_metrics
from vqvae.runs.scores import _covered, beside_of, facts, stage_settings, summary
from vqvae.storage import RunCard
from vqvae.training import JointConfig, RunOptions

FOUND = Evaluation(
    scores={"psnr": 17.0},
    counts=torch.ones(1, 8, dtype=torch.int64),
    pictures={"reconstructions": np.zeros((2, 2, 3), np.uint8), "code_maps": np.zeros((2, 2, 3), np.uint8)},
)


def unscored(run: Path, data: str = "held out") -> Path:
    scored(run, 0, data)
    (run / "metrics.json").unlink()
    return run


def test_a_run_without_scores_is_scored_for_the_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "score", lambda pipeline, held_out: FOUND)
    found = compare([scored(tmp_path / "one", 20), unscored(tmp_path / "two")])
    beside = beside_of(found, tiny.Noise(4, 0), RunOptions(device="cpu"))
    assert beside.scores == {"psnr": 17.0} and list(beside.pictures) == ["reconstructions"] and not beside.missing
    assert read_metrics(tmp_path / "two") == {}, "the other run stays as it is"


def test_a_run_of_other_data_without_scores_says_what_to_do(tmp_path: Path) -> None:
    found = compare([scored(tmp_path / "one", 20), unscored(tmp_path / "two", "others")])
    beside = beside_of(found, tiny.Noise(4, 0), RunOptions(device="cpu"))
    assert not beside.scores and beside.missing.endswith(f"vqvae evaluate {tmp_path / 'two'}")


def test_scores_of_a_run_are_read(tmp_path: Path) -> None:
    beside = beside_of(compare([scored(tmp_path / name, 20) for name in "ab"]), tiny.Noise(4, 0), RunOptions(device="cpu"))
    assert beside.scores["psnr"] == 20 and list(beside.pictures) == ["reconstructions"] and beside.same_data


def test_the_data_is_described_in_sentences() -> None:
    noise = tiny.Noise(4, 0)
    assert facts(noise, None, "class") == ["4 examples are held out.", "Classes: even, odd."]
    noise.found, noise.label_names = ("Training on train/.", "40 images."), tuple(map(str, range(50)))
    found = facts(noise, {"data": {"path": "/data/my photos"}}, "speaker")
    assert found[:3] == ["From /data/my photos.", "Training on train/.", "40 images."]
    assert found[3].startswith("Speakers: 0, 1, ") and found[3].endswith("39 and 10 more.")


def test_settings_of_a_tokenizer_and_a_prior_that_were_trained_together(tmp_path: Path) -> None:
    prior = PixelCNNConfig(codebook_size=8, layers=1, hidden=4, output_hidden=4)
    config = tiny.settings(model=JointConfig(tokenizer=tiny.model(), prior=prior))
    joint = config.model.build()
    save(Pipeline(joint.tokenizer, joint.prior), tmp_path)
    storage.save(joint, tmp_path / "joint", RunCard(training=to_json(config)))
    assert stage_settings(tmp_path) == {"joint": to_json(config)}


def test_a_summary_names_the_pixels_of_a_frame_of_clips() -> None:
    pictures, clips = Pipeline(toy.make(VQVAEConfig)), Pipeline(FrameTokenizer(toy.make(VQVAEConfig)))
    height, width = pictures.layout[0].stride
    assert summary(pictures) == f"Every {height}×{width} pixels become one code out of {toy.SIZE}."
    assert summary(clips) == f"Every {height}×{width} pixels of a frame become one code out of {toy.SIZE}."
    assert _covered((2, 4, 4), VIDEO) == "4×4 pixels of 2 frames"
