"""``vqvae tokenize``."""

import json
from pathlib import Path

import numpy as np
import pytest

import vqvae
from vqvae.cli.main import main
from vqvae.media.images import read_image


def test_a_folder_becomes_shards(run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "codes"
    command = ["tokenize", str(run), str(pictures / "train"), "--out", str(out), "--workers", "1", "--shard-size", "10", "--json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {"items": 24, "bad": 0, "shards": 3}
    rows = pyarrow.read_table(out / "shards").to_pylist()
    assert [row["label"] for row in rows] == [0] * 12 + [1] * 12 and rows[0]["id"] == "church/0.png"
    picture = read_image(pictures / "train" / rows[13]["id"])
    assert rows[13]["codes"] == np.ravel(vqvae.load(run).encode(picture)).tolist() and rows[13]["size"] == [20, 18]
    assert main(command) == 0
    assert main([*command, "--size", "8"]) == 1
    assert "plan.reading" in capsys.readouterr().err


def test_bad_files_are_listed_and_stop_nothing(run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data", tmp_path / "codes"
    data.mkdir()
    for number in range(7):
        (data / f"bad-{number}.png").write_bytes(b"no picture")
    command = ["tokenize", str(run), str(data), "--out", str(out), "--workers", "1"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "Left out: bad-4.png cannot be decoded" in said and "bad-5" not in said and "lists the other 2" in said
    assert main(["tokenize", str(run), str(data), "--out", str(tmp_path / "a.parquet")]) == 1
    assert "the name of a folder" in capsys.readouterr().err
