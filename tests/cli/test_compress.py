"""``vqvae compress``."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vqvae
from tests.fuzz.harness import GOLDEN
from vqvae.cli.main import main

RUN = GOLDEN / "run-images" / "run"
SPEECH = GOLDEN / "run-speech" / "run"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (11, 14, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def test_files_are_compressed_and_their_sizes_printed(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compress", str(RUN), str(picture), "--out", str(tmp_path / "out"), "--mode", "packed"]
    assert main(arguments) == 0
    made = tmp_path / "out" / "cat.vqz"
    assert f"{made.stat().st_size} bytes" in capsys.readouterr().out
    model = vqvae.load(RUN)
    pixels = torch.from_numpy(np.array(Image.open(picture))).movedim(-1, 0)[None]
    assert torch.equal(model.decompress(made.read_bytes()), model.reconstruct(pixels))
    assert main(arguments) == 1 and "--overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {str(made): made.stat().st_size}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "No files were given"),
        (["none.png"], "none.png"),
        (["cat.png", "--mode", "zip"], "zip"),
        (["cat.png", "--label", "horse"], "horse"),
    ],
)
def test_wrong_use_leaves_nothing(more: list[str], words: str, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(picture.parent / word) if word.endswith(".png") else word for word in more]
    assert main(["compress", str(RUN), *files, "--out", str(picture.parent / "out")]) == 1
    assert words in capsys.readouterr().err and not list(picture.parent.glob("out/*"))
