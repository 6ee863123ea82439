"""The recipe for any folder of images fits what it finds."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.shards import pngs, samples, write_parquet, write_tar
from vqvae.codes import Level
from vqvae.data import Cifar10Config, ImageFolderConfig, ImageShardsConfig
from vqvae.errors import ConfigError
from vqvae.likelihoods import GaussianConfig, LogisticMixtureConfig
from vqvae.recipes import RECIPES, fitted
from vqvae.recipes.base import narrow
from vqvae.training import build

RECIPE = RECIPES["images"]


def _folder(folder, count, dtype=np.uint8, size=(28, 28)):
    """Slopes of many directions."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    down, across = np.mgrid[: size[0], : size[1]] / max(size)
    for number in range(count):
        x, y = random.uniform(0, 0.5, 2)
        Image.fromarray(((x * down + y * across) * np.iinfo(dtype).max).astype(dtype)).save(folder / f"{number}.png")
    return str(folder)


def test_a_folder_of_small_greys(tmp_path):
    config = RECIPE.tokenizer(_folder(tmp_path, 10))
    assert config.data == ImageFolderConfig(path=str(tmp_path), size=28, channels=1, classes=False)
    assert config.model.likelihood == GaussianConfig(channels=1)
    assert (config.batch_size, config.steps) == (8, 1_000), "few pictures"
    quantizer = config.model.quantizer
    assert (quantizer.decay, quantizer.commitment_cost) == (0.9, 1.0)


def test_a_folder_that_is_not_there_gets_what_was_always_assumed():
    config = RECIPE.tokenizer("nowhere")
    assert config.data == ImageFolderConfig(path="nowhere", size=64, classes=False)
    assert (config.batch_size, config.steps, config.model.likelihood) == (32, 20_000, GaussianConfig(channels=3))


@pytest.mark.parametrize("likelihood", [GaussianConfig, LogisticMixtureConfig])
def test_greys_of_16_bits_are_learned(tmp_path, likelihood):
    config = RECIPE.tokenizer(_folder(tmp_path, 8, np.uint16, (16, 16)))
    assert config.data.levels == config.model.likelihood.levels == 65_536
    network = {"widths": (16, 16), "residual_hidden": 16, "residual_blocks": 1}
    encoder, decoder = (dataclasses.replace(part, **network) for part in (config.model.encoder, config.model.decoder))
    model = dataclasses.replace(config.model, likelihood=likelihood(channels=1, levels=65_536), encoder=encoder, decoder=decoder)
    train = config.data.build().train
    torch.manual_seed(0)
    module = build(dataclasses.replace(config, model=model))
    batch, optimizer = train.batch(np.arange(len(train))), torch.optim.Adam(module.parameters(), 5e-3)
    losses = []
    for _ in range(60):
        loss = module(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all() and losses[-1] < losses[0] - 0.7


def test_the_likelihood_follows_the_data_unless_it_was_set():
    default = RECIPE.tokenizer("nowhere")
    grey = dataclasses.replace(default, data=dataclasses.replace(default.data, channels=1, levels=65_536))
    assert fitted(grey, default).model.likelihood == GaussianConfig(channels=1, levels=65_536)
    assert fitted(default, default) == default
    mine = dataclasses.replace(grey, model=narrow(default.model.quantizer, GaussianConfig(channels=3, levels=300)))
    assert fitted(mine, default).model.likelihood == GaussianConfig(channels=1, levels=300)
    other = dataclasses.replace(grey, model=dataclasses.replace(default.model, likelihood=LogisticMixtureConfig(mixtures=5)))
    assert fitted(other, default).model.likelihood == LogisticMixtureConfig(mixtures=5, channels=1, levels=65_536)
    elsewhere = dataclasses.replace(grey, data=Cifar10Config())
    assert fitted(elsewhere, default) == elsewhere


def test_the_prior_fits_the_number_of_codes():
    config = RECIPE.prior(Level(1, 512, (4, 4)), 3)
    sized = [RECIPE.sized(config, codes) for codes in (500, 500_000, 3_000_000)]
    assert [(one.steps, one.model.layers) for one in sized] == [(1_000, 6), (10_000, 12), (20_000, 12)]
    assert {one.model.classes for one in sized} == {3}


def test_shards_are_recognised(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_tar(tmp_path / "tars" / "0.tar", samples(pngs(40, (12, 16)), [number % 2 for number in range(40)]))
    config = RECIPE.tokenizer(str(tmp_path / "tars"))
    assert config.data == ImageShardsConfig(path=str(tmp_path / "tars"), size=(12, 16), classes=True)
    grey = dataclasses.replace(config, data=dataclasses.replace(config.data, channels=1))
    assert fitted(grey, config).model.likelihood == GaussianConfig(channels=1)
    write_parquet(tmp_path / "tables" / "0.parquet", one=pngs(20, (9, 9)), two=pngs(20, (8, 8)), kind=["a", "b"] * 10)
    words = {"column": "two", "label_column": "kind", "cache": str(tmp_path / "elsewhere")}
    config = RECIPE.tokenizer(str(tmp_path / "tables"), **words)
    assert config.data == ImageShardsConfig(path=str(tmp_path / "tables"), size=8, classes=True, **words)
    assert list((tmp_path / "elsewhere").glob("*/copy.bin")) and len(list((tmp_path / "cache").glob("vqvae/shards/*/copy.bin"))) == 1
    with pytest.raises(ConfigError, match="has no columns. Omit --data.column"):
        RECIPE.tokenizer(_folder(tmp_path / "pictures", 4), column="two")
