"""``vqvae sample``."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqvae.cli.main import main


def test_sample_writes_what_the_suffix_says(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("array.npy", "grid.png", "folder"):
        assert main(["sample", str(run), "--count", "3", "--seed", "5", "--label", "truck", "--out", str(tmp_path / name)]) == 0
    array = np.load(tmp_path / "array.npy", allow_pickle=False)
    assert array.shape == (3, 3, 16, 16) and array.dtype == np.uint8
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == [f"sample-{i:05d}.png" for i in range(3)]
    with Image.open(tmp_path / "folder" / "sample-00001.png") as image:
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1), array[1])
    assert main(["sample", str(run), "--out", str(tmp_path / "x.gif")]) == 1
    assert ".gif" in capsys.readouterr().err
    assert main(["sample", str(run), "--label", "boat", "--out", str(tmp_path / "x.png")]) == 1
    assert "church, truck" in capsys.readouterr().err


def test_settings_reach_the_draw(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def draw(*options: str) -> np.ndarray:
        assert main(["sample", str(run), "--count", "4", "--out", str(tmp_path / "x.npy"), "--device", "cpu", "--overwrite", *options]) == 0
        return np.load(tmp_path / "x.npy", allow_pickle=False)

    drawn = draw("--seed", "1")
    assert np.array_equal(drawn, draw("--seed", "1")) and not np.array_equal(drawn, draw("--seed", "2"))
    likeliest = draw("--temperature", "0", "--label", "church")
    assert np.array_equal(likeliest, draw("--top-k", "1", "--label", "0", "--seed", "7"))
    assert (likeliest == likeliest[:1]).all(), "nothing is left to chance"
    assert "4 samples are in" in capsys.readouterr().err
    assert main(["sample", str(run), "--top-p", "2", "--out", str(tmp_path / "y.png")]) == 1
    assert "top_p" in capsys.readouterr().err and not (tmp_path / "y.png").exists()
