"""``vqvae bench``."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_compress import RUN, SPEECH
from vqvae.cli.main import main
from vqvae.evaluation.rates import pictures


def test_a_table_its_numbers_and_charts_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "QUALITIES", (5, 80))
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    arguments = ["bench", "codec", str(tmp_path), "--runs", str(RUN), "--count", "2", "--speaker", "0", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "| run   | packed |" in capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "rate-distortion.json").read_text())
    assert (
        found["command"].endswith("--runs run --count 2 --speaker 0")
        and found["files"] == 2
        and found["models"]["run"][0]["setting"] == "packed"
        and "JPEG" in found["codecs"]
    )
    made = {path.name for path in (tmp_path / "out").iterdir()}
    charts = {"rate-distortion-psnr.svg", "rate-distortion-ms-ssim.svg"}
    assert made == {"rate-distortion.json", "rate-distortion.md", "rate-distortion.png", *charts}
    assert all(f"]({name})" in (tmp_path / "out" / "rate-distortion.md").read_text() for name in charts | {"rate-distortion.png"})
    assert main(arguments) == 1 and "--overwrite" in capsys.readouterr().err


def test_wrong_use_is_said_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    for more, words in (
        ([str(tmp_path)], "No runs were given"),
        ([str(tmp_path), "--runs", str(RUN)], "holds no pictures"),
        ([str(tmp_path), "--runs", str(RUN), str(SPEECH)], "same name"),
        ([str(tmp_path), "--runs", str(RUN), "--count", "0"], "--count is 0"),
    ):
        assert main(["bench", "codec", *more, "--out", out]) == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
