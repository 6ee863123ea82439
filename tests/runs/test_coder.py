"""The coders of a run."""

from pathlib import Path

import numpy as np
import pytest
import torch

import vqvae
from tests.experiments.small import OPTIONS
from tests.training import tiny
from vqvae import storage
from vqvae.codec.coders import PARTS, coder_folder, coders_of, read_integers
from vqvae.codec.fitting import FitConfig
from vqvae.codes import Level
from vqvae.data import SyntheticImagesConfig
from vqvae.errors import CheckpointError
from vqvae.runs.coder import BITS, config_of, fit_if_missing, train_coder
from vqvae.runs.encoding import read_codes
from vqvae.runs.folder import read_metrics
from vqvae.runs.stages import train_tokenizer

FEW = FitConfig(multiplications=1, epochs=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of a few steps, with classes."""
    run = tmp_path_factory.mktemp("runs") / "run"
    data = SyntheticImagesConfig(count=60, size=8, classes=3)
    train_tokenizer(tiny.settings(data=data, steps=3), OPTIONS, run, recipe="tiny", scored=False)
    return run


def test_a_run_gets_a_coder_of_its_codes(run: Path) -> None:
    scores = train_coder(run, FEW)
    assert 0 < scores[BITS] < 10 and read_metrics(run)[BITS] == scores[BITS]
    layout = vqvae.load(run).layout
    batch = read_codes(run).held_out.batch(np.arange(1))
    for coder in coders_of("prior", layout, read_integers(run, layout)):
        data = coder.encode(batch.x[0], batch.condition)
        assert torch.equal(coder.decode(data, tuple(batch.x.shape[1:]), batch.condition), batch.x[0])


def test_a_finished_coder_is_kept_and_a_lost_one_comes_back_the_same(run: Path) -> None:
    train_coder(run, FEW)
    weights = coder_folder(run, 0) / "weights.safetensors"
    before, time = weights.read_bytes(), weights.stat().st_mtime_ns
    fit_if_missing(run)
    assert weights.stat().st_mtime_ns == time
    weights.unlink()
    (coder_folder(run, 0) / "config.json").unlink()
    coder_folder(run, 0).rmdir()
    train_coder(run, FEW)
    assert weights.read_bytes() == before


def test_a_coder_of_other_codes_is_trained_again(run: Path) -> None:
    train_coder(run, FEW)
    card = storage.read(coder_folder(run, 0), PARTS).card
    storage.save(read_integers(run, vqvae.load(run).layout)[0], coder_folder(run, 0), vqvae.RunCard(data="codes-of-another-run"))
    train_coder(run, FEW)
    assert storage.read(coder_folder(run, 0), PARTS).card.data == card.data


def test_a_coder_knows_levels_above_and_large_codebooks(run: Path) -> None:
    codes = read_codes(run).train
    layout = vqvae.load(run).layout
    assert config_of(codes, layout, 0).classes == 3 and config_of(codes, layout, 0).hidden > 0
    codes.header = type(codes.header).of(
        source="x", layout=(Level(2, 5, (8, 8)), Level(1, 2**17, (4, 4))), spaces=[(1, 1), (2, 2)], count=1
    )
    second = config_of(codes, (Level(2, 5, (8, 8)), Level(1, 2**17, (4, 4))), 1)
    assert (second.above_sizes, second.above_codebooks, second.strides, second.hidden) == ((5,), (2,), ((8, 8), (4, 4)), 0)


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        train_coder(tmp_path)
