"""``vqvae train-coder``."""

import json
import shutil
from pathlib import Path

import pytest

from vqvae.cli.main import main


def test_a_coder_is_trained_once_and_its_cost_is_printed(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    assert main(["train-coder", str(copy), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["bits_per_code_coder"] > 0 and (copy / "coder" / "0" / "config.json").is_file()
    assert main(["train-coder", str(copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == scores


def test_a_run_without_codes_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-coder", str(tmp_path)]) == 1
    assert "vqvae train RECIPE" in capsys.readouterr().err
