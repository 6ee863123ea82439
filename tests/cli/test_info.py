"""``vqvae info``."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.fuzz.harness import GOLDEN
from vqvae import load, storage
from vqvae.cli.main import main


def test_info_says_what_it_is(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(run), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["recipe"] == "images" and facts["classes"] == ["church", "truck"] and facts["size"] == "16×16"
    assert main(["info", str(run)]) == 0
    assert "learned prior" in capsys.readouterr().out


def test_parts_are_counted_and_what_is_missing_is_none(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(run / "tokenizer", tmp_path / "tokenizer")
    assert main(["info", str(tmp_path), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    count = sum(parameter.numel() for parameter in storage.load(run / "tokenizer").parameters())
    assert facts["tokenizer"] == f"VQVAE, {count:,} parameters"
    assert facts["codes"] == "1 × 8 codes for each 4×4 pixels"
    assert facts["prior"] is None and facts["classes"] == [] and "psnr" not in facts


def test_of_speech_it_names_the_speakers_and_the_rate(speech_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(speech_run), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["codes"].endswith("samples at 16000 Hz") and facts["speakers"] == ["en-us+f1", "en-us+m3"]


def test_in_words_it_shows_the_path_of_the_data_the_priors_and_the_checkpoints(
    run: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(run)]) == 0
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    said = {name: words.strip() for name, words in rows.items()}
    assert said["Data"] == str(pictures) and said["Size"] == "16 × 16 pixels" and said["Classes"] == "church, truck"
    assert said["Priors"] == "without a name" and said["Checkpoints"] == "step 6 (best)"
    assert said["PSNR"].endswith(" dB")


def test_of_a_compressed_file_it_tells_what_it_holds_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = load(GOLDEN / "run-images" / "run")
    file = tmp_path / "x.vqz"
    file.write_bytes(model.compress(torch.zeros(3, 9, 8, dtype=torch.uint8), mode="packed"))
    assert main(["info", str(file), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["size"] == "9 × 8 pixels" and facts["mode"] == "packed" and facts["bytes"] == file.stat().st_size
    assert main(["info", str(GOLDEN / "run-images" / "run"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == facts["model"]
    file.write_bytes(file.read_bytes()[:-1])
    assert main(["info", str(file)]) == 1 and "truncated" in capsys.readouterr().err
