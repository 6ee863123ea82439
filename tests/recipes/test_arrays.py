import logging

import numpy as np
import pytest

from vqvae.cli.main import main
from vqvae.codes import Level
from vqvae.errors import ConfigError
from vqvae.priors import PixelCNNConfig, WaveNetConfig
from vqvae.recipes import RECIPES
from vqvae.recipes.arrays import strides

SMALL = ["--steps", "2", "--batch-size", "4", "--evaluate-every", "0"]


@pytest.mark.parametrize(
    ("shape", "dtype", "encoder", "likelihood"),
    [
        ((20, 40), np.float32, "ArrayEncoderConfig", "GaussianDensityConfig"),
        ((20, 28, 28), np.uint8, "ImageEncoderConfig", "GaussianConfig"),
        ((20, 40, 3), np.uint16, "ArrayEncoderConfig", "LogisticMixtureConfig"),
        ((20, 8, 8, 8), bool, "ArrayEncoderConfig", "CategoricalConfig"),
    ],
)
def test_the_file_decides_on_the_model(tmp_path, caplog, shape, dtype, encoder, likelihood):
    values = np.random.default_rng(0).random(shape) * (1 if dtype in (bool, np.float32) else np.iinfo(dtype).max)
    np.save(tmp_path / "a.npy", values.round().astype(dtype))
    with caplog.at_level(logging.INFO):
        config = RECIPES["arrays"].tokenizer(str(tmp_path / "a.npy"))
    assert (type(config.model.encoder).__name__, type(config.model.likelihood).__name__) == (encoder, likelihood)
    assert "is read as" in caplog.text and encoder.removesuffix("Config") in caplog.text


def test_codes_decide_on_the_prior():
    kinds = [type(RECIPES["arrays"].prior(Level(1, 8, (2,) * axes), 0).model) for axes in (1, 2, 3)]
    assert kinds == [WaveNetConfig, PixelCNNConfig, WaveNetConfig]


@pytest.mark.parametrize("size", [(1,), (7,), (50,), (16_000,), (28, 28), (3, 80), (4, 64, 64), (1, 1, 1)])
def test_strides_leave_codes(size):
    found = strides(size)
    assert len(found) == len(size) and all(step <= max(length, 1) for step, length in zip(found, size, strict=True))


def test_wrong_words_and_no_path_are_explained():
    with pytest.raises(ConfigError, match="--data x.npy"):
        RECIPES["arrays"].tokenizer(None)
    with pytest.raises(ConfigError, match="expected a number"):
        RECIPES["arrays"].tokenizer("a.npy", levels="many")


@pytest.mark.slow
def test_a_series_is_trained_sampled_and_reconstructed(tmp_path):
    values = 50 + 100 * np.random.default_rng(0).normal(size=(20, 2, 16))
    np.savez(tmp_path / "a.npz", x=values, y=np.arange(20) % 2)
    np.save(tmp_path / "new.npy", values[:3])
    run = str(tmp_path / "run")
    network = ["--model.encoder.width", "4", "--model.decoder.width", "4", "--model.quantizer.codebook-size", "8"]
    given = ["--data", str(tmp_path / "a.npz"), "--data.layout", "n c t"]
    assert main(["train", "arrays", *given, "--out", run, *SMALL, *network]) == 0
    assert main(["train-prior", run, *SMALL, "--model.layers", "2", "--model.residual", "4", "--model.skip", "4"]) == 0
    assert main(["sample", run, "--count", "2", "--out", str(tmp_path / "s.npy")]) == 0
    assert np.load(tmp_path / "s.npy").shape == (2, 2, 16)
    assert main(["reconstruct", run, str(tmp_path / "new.npy"), "--out", str(tmp_path / "out")]) == 0
    made = np.load(tmp_path / "out" / "new.npy")
    assert made.shape == (3, 2, 16) and abs(made.mean() - 50) < 100
