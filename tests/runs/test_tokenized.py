"""Shards of ``vqvae tokenize`` as codes to train on: the codes of the run itself, checked, and padded along time."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import vqvae
from tests.experiments.small import OPTIONS
from tests.tokenization.conftest import RUN
from tests.training import tiny
from vqvae import storage
from vqvae.data import SyntheticImagesConfig, write_audio
from vqvae.errors import ConfigError, DataError
from vqvae.priors import PixelCNNConfig
from vqvae.runs.encoding import read_codes
from vqvae.runs.stages import train_prior, train_tokenizer
from vqvae.runs.tokenized import tokenized_codes
from vqvae.training import trainer

DATA = SyntheticImagesConfig(count=60, size=8, classes=3)
PRIOR = PixelCNNConfig(codebook_size=8, layers=1, hidden=4, output_hidden=4, classes=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    train_tokenizer(tiny.settings(data=DATA, steps=3), OPTIONS, run, recipe="tiny", scored=False)
    return run


@pytest.fixture(scope="module")
def tokens(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokens") / "out"
    vqvae.tokenize(run, None, out, shard_size=7, workers=1)
    return out


def test_they_are_the_codes_of_the_run(run: Path, tokens: Path) -> None:
    own, found = read_codes(run).train, tokenized_codes(run, tokens)
    rows = np.arange(len(own))
    assert len(found) == len(own) and found.label_names == own.label_names and found.signal == own.signal
    assert torch.equal(found.batch(rows).x, own.batch(rows).x) and found.batch(rows).mask is None
    expected, labels = own.batch(rows).condition.label, found.batch(rows).condition.label
    assert expected is not None and labels is not None and torch.equal(labels, expected)
    assert len(own.batch(rows).x.unique()) > 1


def test_they_are_copied_once(run: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tokenized_codes(run, tokens).name
    monkeypatch.setattr("vqvae.data.tokenized.read_rows", lambda *given: pytest.fail("a shard was read again"))
    assert tokenized_codes(run, tokens).name == before


def test_a_prior_trains_on_them(run: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, loader = [], trainer.Loader
    monkeypatch.setattr(
        trainer, "Loader", lambda dataset, *given, **named: (seen.append(dataset.name), loader(dataset, *given, **named))[1]
    )
    train_prior(tiny.settings(model=PRIOR, steps=2), OPTIONS, run, name="more", tokens=tokens, scored=False)
    assert tokenized_codes(run, tokens).name in seen and read_codes(run).train.name not in seen
    assert storage.read(run / "priors" / "more").card.training["steps"] == 2


def test_other_tokenizers_and_labels_are_refused(run: Path, tokens: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has codes of the tokenizer \w{16}; that of .* is \w{16}"):
        tokenized_codes(RUN, tokens)
    other = shutil.copytree(tokens, tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["plan"]["label_names"] = ["x", "y", "z"]
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match=r"the labels \['x', 'y', 'z'\]"):
        tokenized_codes(run, other)


def test_recordings_are_padded_to_the_longest(tmp_path: Path) -> None:
    run = shutil.copytree(RUN.parents[1] / "run-speech" / "run", tmp_path / "run")
    model = vqvae.load(run)
    (tmp_path / "wavs").mkdir()
    rate = model.signal.sample_rate
    waves = [np.random.default_rng(n).uniform(-0.5, 0.5, length).astype(np.float32) for n, length in enumerate((900, 300, 601))]
    for number, wave in enumerate(waves):
        write_audio(tmp_path / "wavs" / f"{number}.wav", wave, round(rate))
    out = tmp_path / "out"
    vqvae.tokenize(run, tmp_path / "wavs", out, shard_size=2, workers=1)
    found = tokenized_codes(run, out)
    batch = found.batch(np.arange(3))
    stride = model.layout[0].stride[0]
    assert batch.mask is not None and batch.mask.sum(1).tolist() == [-(-len(wave) // stride) for wave in waves]
    assert batch.x.shape[2] == -(-900 // stride) and not (batch.x * ~batch.mask[:, None]).any()


def test_pictures_of_several_sizes_are_refused(tmp_path: Path) -> None:
    run = shutil.copytree(RUN, tmp_path / "run")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, height in enumerate((8, 12)):
        np.save(pictures / f"{number}.npy", np.zeros((height, 8, 3), np.uint8))
    vqvae.tokenize(run, pictures, tmp_path / "out", workers=1)
    with pytest.raises(DataError, match=r"A prior takes codes of one shape.*--size"):
        tokenized_codes(run, tmp_path / "out")
