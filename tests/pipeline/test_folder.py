"""A run folder's parts as a pipeline, and back."""

from pathlib import Path

import pytest
import torch

import vqvae
from tests.pipeline.test_model import NAMES, images, prior, tokenizer
from vqvae.errors import CheckpointError
from vqvae.pipeline import Pipeline, load, save
from vqvae.priors import UnigramPriorConfig


def test_a_saved_pipeline_is_read_back(tmp_path: Path) -> None:
    unigram = UnigramPriorConfig(codebook_size=5).build()
    unigram.count(torch.zeros(1, 1, 2, 2, dtype=torch.int64))
    model = Pipeline(tokenizer(), prior(classes=3), unigram=unigram, label_names=NAMES, size=(16, 16))
    save(model, tmp_path / "run")
    again = vqvae.load(tmp_path / "run")
    assert (again.label_names, again.size) == (NAMES, (16, 16))
    assert torch.equal(again.encode(images(2)), model.encode(images(2)))
    assert torch.equal(again.sample(2, seed=1), model.sample(2, seed=1))
    assert torch.equal(again.unigram.counts, unigram.counts)


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="vqvae train"):
        load(tmp_path / "nothing")
    (tmp_path / "half" / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="not trained to the end"):
        load(tmp_path / "half")
    save(Pipeline(tokenizer()), tmp_path / "run")
    (tmp_path / "run" / "tokenizer").rename(tmp_path / "run" / "prior")
    save(Pipeline(tokenizer()), tmp_path / "other")
    (tmp_path / "other" / "tokenizer").rename(tmp_path / "run" / "tokenizer")
    with pytest.raises(CheckpointError, match="holds a VQVAE"):
        load(tmp_path / "run", prior="")
    assert load(tmp_path / "run").priors == (), "the tokenizer works without it"
