"""``vqvae evaluate``."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.cli.main import main


def test_evaluate_prints_one_json_object(run: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = json.loads((run / "metrics.json").read_text())
    assert main(["evaluate", str(run), "--json", "--device", "cpu"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["bits_per_dim_learned"] == pytest.approx(before["bits_per_dim_learned"])
    assert main(["evaluate", str(run), "--data", str(pictures), "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["psnr"] == pytest.approx(before["psnr"])


def test_other_data_is_scored_and_changes_nothing(run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side in ("train", "val"):
        for name in ("church", "truck"):
            (tmp_path / side / name).mkdir(parents=True)
            Image.fromarray(np.full((16, 16, 3), 255 if name == "church" else 0, np.uint8)).save(tmp_path / side / name / "0.png")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["evaluate", str(run), "--data", str(tmp_path), "--json", "--device", "cpu"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["examples"] == 2
    assert scores["bits_per_dim_learned"] != pytest.approx(json.loads((run / "metrics.json").read_text())["bits_per_dim_learned"])
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_without_a_tokenizer_and_missing_data_are_reported(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(tmp_path)]) == 1
    assert "there is no trained tokenizer" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--data", str(tmp_path / "nothing"), "--device", "cpu"]) == 1
    assert "There is no folder" in capsys.readouterr().err


def test_threads_are_set(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.get_num_threads()
    try:
        assert main(["evaluate", str(run), "--threads", str(before + 1), "--json", "--device", "cpu"]) == 0
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_another_run_stands_beside(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    metrics = json.loads((run / "metrics.json").read_text())
    (other / "metrics.json").write_text(json.dumps({**metrics, "psnr": 77.77}))
    assert main(["evaluate", str(run), "--beside", str(other), "--device", "cpu"]) == 0
    page = (run / "report.html").read_text()
    assert "Beside other" in page and "<b>77.77 dB</b>" in page and "Do not compare" not in page
    assert main(["evaluate", str(run), "--beside", str(run), "--device", "cpu"]) == 1
    assert "given twice" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--beside", str(tmp_path), "--device", "cpu"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_floats_are_scored_in_the_range_that_is_given(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    for side in ("train", "val"):
        for name in ("church", "truck"):
            (tmp_path / side / name).mkdir(parents=True)
            Image.fromarray(random.random((16, 16), np.float32)).save(tmp_path / side / name / "0.tif")
    given = ["evaluate", str(run), "--data", str(tmp_path), "--json", "--device", "cpu"]
    assert main(given) == 1
    assert "--bounds LOW HIGH" in capsys.readouterr().err
    assert main([*given, "--bounds", "0", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 2
