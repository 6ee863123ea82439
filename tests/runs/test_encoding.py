"""The codes of a run in shards."""

from pathlib import Path

import pytest
import torch

import vqvae
from tests.experiments.small import OPTIONS
from tests.training import tiny
from vqvae.data import SyntheticImagesConfig
from vqvae.errors import DataError
from vqvae.pipeline import Pipeline, save
from vqvae.runs.encoding import read_codes, write_codes

DATA = SyntheticImagesConfig(count=40, size=8, classes=3)


def stored(run: Path, seed: int = 0) -> Pipeline:
    """A run with a tokenizer alone."""
    torch.manual_seed(seed)
    pipeline = Pipeline(tiny.model().build(), signal=DATA.build().train.signal)
    save(pipeline, run)
    return pipeline


def test_codes_are_written_once_and_counted(tmp_path: Path) -> None:
    pipeline, splits = stored(tmp_path), DATA.build()
    write_codes(tmp_path, splits, OPTIONS)
    counts = torch.zeros(8, dtype=torch.int64)
    for side, data in zip(read_codes(tmp_path), splits, strict=True):
        codes = side.batch(torch.arange(len(side)).numpy()).x
        assert torch.equal(codes, pipeline.encode(data.batch(torch.arange(len(data)).numpy()).x))
        counts = counts if counts.any() else counts + torch.bincount(codes.flatten(), minlength=8)
    assert torch.equal(vqvae.load(tmp_path).unigram.counts[0].long(), counts)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "codes").rglob("*.safetensors")}
    write_codes(tmp_path, splits, OPTIONS)
    assert before and {path: path.stat().st_mtime_ns for path in before} == before


def test_codes_of_another_tokenizer_are_refused_and_written_anew(tmp_path: Path) -> None:
    stored(tmp_path)
    write_codes(tmp_path, DATA.build(), OPTIONS)
    other = stored(tmp_path / "other", 1)
    (tmp_path / "other" / "tokenizer" / "weights.safetensors").replace(tmp_path / "tokenizer" / "weights.safetensors")
    with pytest.raises(DataError, match="tokenizer"):
        read_codes(tmp_path)
    write_codes(tmp_path, DATA.build(), OPTIONS)
    held_out = DATA.build().held_out.batch(torch.arange(2).numpy()).x
    assert torch.equal(read_codes(tmp_path).held_out.batch(torch.arange(2).numpy()).x, other.encode(held_out))
