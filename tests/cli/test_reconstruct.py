"""``vqvae reconstruct``."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from vqvae.cli.main import main


def test_reconstruct_keeps_sizes_and_names(run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = pictures / "train" / "truck" / "3.png"
    assert main(["reconstruct", str(run), str(file), "--out", str(tmp_path / "out"), "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == [str(file)]
    with Image.open(tmp_path / "out" / "3.png") as image:
        assert image.size == (18, 20)
    assert main(["reconstruct", str(run), str(file), str(file), "--out", str(tmp_path / "again")]) == 1
    assert "would be written twice" in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_results_have_words_and_units(run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = pictures / "train" / "truck" / "3.png", tmp_path / "out"
    assert main(["reconstruct", str(run), str(file), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert re.fullmatch(rf"{re.escape(str(file))}  PSNR \d+\.\d\d dB\n", said.out)
    assert f"The reconstructions are in {out}." in said.err


def test_a_checkpoint_takes_the_place_of_the_finished_tokenizer(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["reconstruct", str(run), str(pictures / "train" / "truck" / "3.png"), "--json"]
    for which in ("best", "6"):
        assert main([*arguments, "--out", str(tmp_path / which), "--checkpoint", which]) == 0
    capsys.readouterr()
    assert main([*arguments, "--out", str(tmp_path / "out"), "--checkpoint", "5"]) == 1
    assert "has no checkpoint '5'. It has the steps: 6." in capsys.readouterr().err
    assert main([*arguments, "--out", str(tmp_path / "out"), "--checkpoint", "last"]) == 1
    assert "must be 'best' or a step" in capsys.readouterr().err
