"""``vqvae train-prior``."""

from pathlib import Path

import pytest

from tests.cli.conftest import TINY_PRIOR
from vqvae import storage
from vqvae.cli.main import main


def test_flags_are_settings_of_the_prior_that_fits_the_tokenizer(run: Path) -> None:
    stored = storage.read(run / "prior")
    assert (stored.config.layers, stored.config.hidden) == (2, 8), "as the flags say"
    assert (stored.config.num_codebooks, stored.config.codebook_size, stored.config.classes) == (1, 8, 2), "as the tokenizer says"
    assert (stored.card.training["steps"], stored.card.training["batch_size"]) == (6, 4)


def test_the_same_command_trains_nothing_twice_and_others_are_told(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "prior" / "weights.safetensors").read_bytes()
    assert main(["train-prior", str(run), *TINY_PRIOR]) == 0
    assert "nothing is left to train" in capsys.readouterr().err
    assert main(["train-prior", str(run), *TINY_PRIOR, "--seed", "3"]) == 1
    assert "seed: 0 -> 3" in capsys.readouterr().err
    assert (run / "prior" / "weights.safetensors").read_bytes() == before


def test_the_run_comes_first_and_must_have_a_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train-prior"]) == 2
    assert "The run folder comes first" in capsys.readouterr().err
    assert main(["train-prior", "--help"]) == 0
    assert main(["train-prior", str(tmp_path)]) == 1
    assert "vqvae train RECIPE" in capsys.readouterr().err
