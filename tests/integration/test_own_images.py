"""From a folder of a user's images to samples of its classes, without a flag about the data."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from vqvae.cli.main import main
from vqvae.recipes import images
from vqvae.runs.folder import stored_config

NETWORK = [
    *("--model.encoder.widths", "8", "8", "--model.encoder.residual-hidden", "8"),
    *("--model.decoder.widths", "8", "8", "--model.decoder.residual-hidden", "8"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """28 x 28 greys of three classes."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for side, count in (("train", 12), ("test", 3)):
        for kind in ("ankle", "bag", "coat"):
            (tmp_path / "data" / side / kind).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (28, 28), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / side / kind / f"{number}.png")
    return tmp_path


def test_from_a_folder_to_samples_of_a_class(folder, monkeypatch, caplog, capfd):
    caplog.set_level(logging.INFO)
    for name, value in {"FEWEST_STEPS": 2, "EPOCHS": 0, "MANY_CODES": 10**12}.items():  # Two steps of each stage.
        monkeypatch.setattr(images, name, value)
    assert main(["train", "images", "--data", "data", "--out", "run", *NETWORK]) == 0
    config = stored_config(folder / "run")
    assert (config.data.size, config.data.channels, config.data.classes, config.model.likelihood.channels) == (28, 1, True, 1)
    assert stored_config(folder / "run", "prior").model.classes == 3
    scores = json.loads((folder / "run" / "metrics.json").read_text())
    assert scores["examples"] == 9 and scores["bits_per_dim_learned"] > 0
    assert main(["sample", "run", "--label", "bag", "--count", "2", "--out", "samples"]) == 0
    assert len(list((folder / "samples").glob("*.png"))) == 2
    assert main(["sample", "run", "--label", "test", "--out", "more"]) != 0, "a side is no class"
    assert "28 x 28 pixels, grey, 256 levels, 3 classes: ankle, bag, coat." in caplog.messages
    assert "Traceback" not in capfd.readouterr().err


def test_flags_about_the_data_change_the_model_with_it(folder):
    flags = ["--data.size", "12", "20", "--data.channels", "3", "--data.crop", "random", "--data.mirror", "True"]
    assert main(["train", "images", "--data", "data", "--out", "run", "--steps", "1", *flags, *NETWORK]) == 0
    with Image.open(folder / "run" / "reconstructions.png") as grid:
        assert grid.mode == "RGB"
    config = stored_config(folder / "run")
    assert (config.data.size, config.model.likelihood.channels) == ((12, 20), 3)
