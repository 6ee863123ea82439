"""``vqvae export``."""

import json
from pathlib import Path

import pytest
import torch

import vqvae
from vqvae.cli.main import main
from vqvae.data.base import Batch


def test_a_run_is_exported_for_pytorch(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run), "--format", "pt2", "--encoder-only", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / "encoder.pt2"), str(out / "export.json")]
    assert json.loads((out / "export.json").read_text())["size"] == [16, 16]
    x = torch.randint(0, 256, (1, 3, 24, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    codes = torch.export.load(out / "encoder.pt2").module()(x)
    assert torch.equal(codes, vqvae.load(run).tokenizer.encode(Batch(x)).tensor)
    assert main(["export", str(run), "--format", "pt2", "--encoder-only", "--out", str(out)]) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_an_unknown_format_is_wrong_use(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["export", str(run), "--format", "tflite", "--out", str(tmp_path)])
    assert stop.value.code == 2 and "onnx" in capsys.readouterr().err
