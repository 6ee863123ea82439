"""``vqvae push``, and commands on a model of the Hub."""

import json
from pathlib import Path

import pytest
import torch

import vqvae
from tests.cli.conftest import TINY, TINY_PRIOR
from tests.storage.hub_server import Hub
from vqvae.cli.main import main


def test_a_pushed_run_serves_every_command(hub: Hub, run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(run), "alice/photos", "--license", "mit"]) == 0
    said = capsys.readouterr()
    assert said.out == f"{hub.url}/alice/photos\n" and "hf:alice/photos" in said.err
    assert main(["info", "hf:alice/photos", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["church", "truck"]
    assert main(["encode", "hf:alice/photos@main", str(pictures / "val"), "--out", str(tmp_path / "tokens.npz")]) == 0
    assert main(["decode", "hf:alice/photos", str(tmp_path / "tokens.npz"), "--out", str(tmp_path / "out")]) == 0
    assert main(["compare", str(run), "hf:alice/photos", "--out", str(tmp_path / "page.html")]) == 0
    assert "alice/photos" in capsys.readouterr().out


def test_scores_of_a_model_on_the_hub_are_only_printed(hub: Hub, run: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(run), "alice/photos"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "hf:alice/photos", "--data", str(pictures), "--json", "--device", "cpu"]) == 0
    assert "psnr" in json.loads(capsys.readouterr().out)
    assert len(hub.commits["alice/photos"]) == 2, "the empty one and the upload"


def test_a_prior_is_trained_in_a_copy(
    hub: Hub, run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["push", str(run), "alice/photos"]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["train-prior", "hf:alice/photos", "--data", str(pictures), "--name", "new", *TINY_PRIOR]) == 0
    assert (tmp_path / "runs" / "photos" / "priors" / "new").is_dir() and (tmp_path / "runs" / "photos" / "report.html").exists() is False
    assert main(["train-prior", "hf:alice/photos", *TINY_PRIOR]) == 1
    assert "Give runs/photos as the run" in capsys.readouterr().err


def test_training_starts_from_a_model_on_the_hub(hub: Hub, run: Path, pictures: Path, tmp_path: Path) -> None:
    assert main(["push", str(run), "alice/photos"]) == 0
    flags = ["--data", str(pictures), "--data.classes", "True", "--from", "hf:alice/photos", *TINY, "--steps", "1"]
    for _ in range(2):  # The second time it resumes.
        assert main(["train", "images", "--out", str(tmp_path / "finer"), *flags, "--optimizer.learning-rate", "1e-9"]) == 0
    before, after = (vqvae.load(place).tokenizer.state_dict()["encoder.layers.0.weight"] for place in (run, tmp_path / "finer"))
    assert torch.allclose(before, after, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "words"), [("hf:alice/nothing", "no model alice/nothing"), ("hf:photos", "hf:OWNER/NAME"), ("hf:a/b@", "revision")]
)
def test_a_wrong_name_is_explained(hub: Hub, name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", name]) == 1
    assert words in capsys.readouterr().err
