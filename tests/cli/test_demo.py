"""``vqvae demo``, on noise in the place of frames."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.training import tiny
from vqvae import storage
from vqvae.cli.main import main
from vqvae.data import SyntheticImagesConfig
from vqvae.recipes import RECIPES
from vqvae.recipes.base import pixelcnn
from vqvae.training import TrainConfig


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
    assert asked == ["frames"]
    assert json.loads(said.out) == json.loads((run / "metrics.json").read_text())
    assert f"Open {run / 'report.html'}" in said.err and (run / "report.html").exists() and (run / "samples.png").exists()
    for part in ("tokenizer", "prior"):
        training = storage.read(run / part).card.training
        assert (training["steps"], training["seed"]) == (3, 5)
    assert (storage.read(run / "tokenizer").card.recipe, len(json.loads(said.out)["seconds_by_stage"])) == ("demo", 5)


def test_speech_has_no_data_to_take_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--modality", "speech", "--data", "frames", "--out", str(tmp_path / "run")]) == 1
    assert "leave --data out" in capsys.readouterr().err and not (tmp_path / "run").exists()
