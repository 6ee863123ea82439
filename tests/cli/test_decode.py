"""``vqvae decode``."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import vqvae
from vqvae.cli.main import main
from vqvae.media.images import read_image
from vqvae.media.tokens import TokenLayout, Tokens, write_tokens


@pytest.mark.parametrize("offset", [[], ["--offset", "32000"]])
def test_tokens_become_the_reconstructions(offset: list[str], run: Path, pictures: Path, tmp_path: Path) -> None:
    tokens, out = tmp_path / "tokens.npz", tmp_path / "out"
    assert main(["encode", str(run), str(pictures / "val"), "--out", str(tokens), *offset]) == 0
    assert main(["decode", str(run), str(tokens), "--out", str(out)]) == 0
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "church/0.png", "church/1.png", "truck/0.png", "truck/1.png",
    ]  # fmt: skip
    picture = torch.from_numpy(read_image(pictures / "val" / "truck" / "0.png"))[None]
    assert np.array_equal(read_image(out / "truck" / "0.png"), vqvae.load(run).reconstruct(picture)[0])


@pytest.mark.parametrize(
    ("name", "size", "code", "books", "words"),
    [
        ("a.png", (8, 8), 8, 1, "the model has 0 to 7"),
        ("a.png", (8, 90), 0, 1, r"\(2, 23\) are expected"),
        ("a.png", (8,), 0, 1, "are expected"),
        ("a.png", (8, 8), 0, 2, "Give the run that encoded it"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(
    name: str, size: tuple[int, ...], code: int, books: int, words: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Tokens(name=name, size=size, levels=(np.full((books, 2, 2), code, np.uint8),))
    write_tokens(tmp_path / "t.npz", [row], TokenLayout(levels=((books, 8),)))
    assert main(["decode", str(run), str(tmp_path / "t.npz"), "--out", str(tmp_path / "out")]) == 1
    assert re.search(words, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_hostile_names_lead_nowhere_else(run: Path, tmp_path: Path) -> None:
    codes = (np.zeros((1, 2, 2), np.uint8),)
    names = ["../../up.png", "/abs.png", "same.png", "SAME.jpg", "..", ""]
    write_tokens(tmp_path / "t.jsonl", [Tokens(name=name, size=(8, 8), levels=codes) for name in names], TokenLayout(levels=((1, 8),)))
    out = tmp_path / "a" / "b" / "out"
    assert main(["decode", str(run), str(tmp_path / "t.jsonl"), "--out", str(out)]) == 0
    assert len(list(out.rglob("*.png"))) == len(names) == len(list(tmp_path.rglob("*.png")))
