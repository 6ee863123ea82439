"""``vqvae encode``."""

from pathlib import Path

import numpy as np
import pytest
import torch

import vqvae
from vqvae.cli.main import main
from vqvae.media.images import read_image
from vqvae.media.tokens import read_tokens


@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".parquet"])
def test_a_folder_becomes_tokens(suffix: str, run: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / f"tokens{suffix}"
    assert main(["encode", str(run), str(pictures / "val"), "--out", str(out)]) == 0
    _, rows = read_tokens(out)
    assert [row.name for row in rows] == ["church/0.png", "church/1.png", "truck/0.png", "truck/1.png"]
    picture = torch.from_numpy(read_image(pictures / "val" / "truck" / "0.png"))[None]
    codes = vqvae.load(run).encode(picture)
    assert rows[2].size == (20, 18) and np.array_equal(rows[2].levels[0], codes[0])


def test_a_bad_file_stops_it_unless_skipped(run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, out = tmp_path / "bad.png", tmp_path / "tokens.npz"
    bad.write_bytes(b"no picture")
    good = pictures / "val" / "truck" / "0.png"
    arguments = ["encode", str(run), str(bad), str(good), "--out", str(out)]
    assert main(arguments) == 1 and not out.exists()
    assert "--skip-bad" in capsys.readouterr().err
    assert main([*arguments, "--skip-bad"]) == 0
    assert [row.name for row in read_tokens(out)[1]] == ["0.png"]
    assert main(["encode", str(run), str(bad), "--out", str(tmp_path / "none.npz"), "--skip-bad"]) == 1


def test_wrong_use_is_said_before_the_work(run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for places, out, words in (
        ([], "a.npz", "No files were given"),
        ([tmp_path], "a.npz", "holds no pictures"),
        ([tmp_path / "none"], "a.npz", "There is no file"),
        ([pictures], "a.csv", ".npz, .jsonl, .parquet"),
    ):
        assert main(["encode", str(run), *map(str, places), "--out", str(tmp_path / out)]) == 1
        assert words in capsys.readouterr().err
