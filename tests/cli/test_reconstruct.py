"""``vqvae reconstruct``."""

import json
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
