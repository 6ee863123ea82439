"""``vqvae train-prior``."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import TINY, TINY_PRIOR
from vqvae import storage
from vqvae.cli.main import main


def test_flags_are_settings_of_the_prior_that_fits_the_tokenizer(run: Path) -> None:
    stored = storage.read(run / "prior")
    assert (stored.config.layers, stored.config.hidden) == (2, 8), "as the flags say"
    assert (stored.config.num_codebooks, stored.config.codebook_size, stored.config.classes) == (1, 8, 2), "as the tokenizer says"
    assert (stored.card.training["steps"], stored.card.training["batch_size"]) == (6, 4)


def test_the_same_command_trains_nothing_twice_and_others_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "prior" / "weights.safetensors").read_bytes()
    assert main(["train-prior", str(run), *TINY_PRIOR]) == 0
    assert "nothing is left to train" in capsys.readouterr().err
    assert main(["train-prior", str(run), *TINY_PRIOR, "--seed", "3"]) == 1
    assert "seed: 0 -> 3" in capsys.readouterr().err
    assert (run / "prior" / "weights.safetensors").read_bytes() == before


def test_the_run_comes_first_and_must_have_a_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-prior"]) == 2
    assert "The run folder comes first" in capsys.readouterr().err
    assert main(["train-prior", "--help"]) == 0
    assert main(["train-prior", str(tmp_path)]) == 1
    assert "vqvae train RECIPE" in capsys.readouterr().err


def test_a_settings_file_a_name_and_moved_data(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The data has moved since the tokenizer was trained: the prior is trained, and --data gives scores and the new place."""
    data, run, settings = tmp_path / "data", tmp_path / "run", tmp_path / "prior.json"
    shutil.copytree(pictures, data)
    assert main(["train", "images", "--data", str(data), "--out", str(run), *TINY]) == 0
    data = data.rename(tmp_path / "moved")
    assert main(["train-prior", str(run), *TINY_PRIOR]) == 0
    assert "There will be no scores" in capsys.readouterr().err
    settings.write_text(json.dumps(dict(storage.read(run / "prior").card.training)))
    named = ["train-prior", str(run), "--settings", str(settings), "--name", "two", "--steps", "2", "--device", "cpu"]
    assert main([*named, "--data", str(pictures / "train")]) == 1
    assert "is not the data that" in capsys.readouterr().err and not (run / "priors").exists()
    assert main([*named, "--data", str(data)]) == 0
    assert storage.read(run / "priors" / "two").config.hidden == 8
    assert (run / "scores" / "two" / "report.html").is_file()
    assert storage.read(run / "tokenizer").card.training["data"]["path"] == str(data)
    assert main(["evaluate", str(run), "--prior-name", "two", "--device", "cpu"]) == 0
    assert main(["sample", str(run), "--prior-name", "two", "--count", "1", "--out", str(tmp_path / "samples"), "--device", "cpu"]) == 0


def test_a_prior_trains_on_shards(run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy, shards = shutil.copytree(run, tmp_path / "run"), tmp_path / "shards"
    assert main(["tokenize", str(copy), str(pictures / "train"), "--out", str(shards), "--workers", "1", "--size", "16"]) == 0
    command = ["train-prior", str(copy), *TINY_PRIOR, "--name", "more"]
    assert main([*command, "--tokens", str(tmp_path / "nowhere")]) == 1
    assert "vqvae tokenize RUN DATA --out DIR" in capsys.readouterr().err
    assert main([*command, "--tokens", str(shards)]) == 0
    assert storage.read(copy / "priors" / "more").card.training["steps"] == 6
    (kept,) = (copy / "codes").glob("tokens-*")
    assert json.loads((kept / "manifest.json").read_text())["header"]["count"] == 24
