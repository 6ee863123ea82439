"""A folder of pictures and a finished run of them, made once for all commands."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqvae.cli.main import main

TINY = [
    *("--data.size", "16", "--steps", "6", "--batch-size", "4", "--device", "cpu", "--precision", "float32", "--log-every", "2"),
    *("--model.quantizer.dim", "4", "--model.quantizer.codebook-size", "8", "--model.encoder.widths", "8", "8"),
    *("--model.decoder.widths", "8", "8", "--model.encoder.residual-hidden", "4", "--model.decoder.residual-hidden", "4"),
]
TINY_PRIOR = [
    *("--steps", "6", "--batch-size", "4", "--device", "cpu", "--precision", "float32", "--model.layers", "2", "--model.hidden", "8"),
]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures in each of two classes, and four held out."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for side, count in (("train", 12), ("val", 2)):
        for name, colour in (("church", (200, 60, 60)), ("truck", (40, 90, 220))):
            place = folder / side / name
            place.mkdir(parents=True)
            for i in range(count):
                noise = random.integers(-30, 30, (20, 18, 3))
                Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(place / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of both stages, with classes."""
    run = tmp_path_factory.mktemp("runs") / "pictures"
    assert main(["train", "images", "--data", str(pictures), "--data.classes", "True", "--out", str(run), *TINY]) == 0
    before = json.loads((run / "metrics.json").read_text())
    assert before["bits_per_dim_learned"] is None
    assert main(["train-prior", str(run), *TINY_PRIOR]) == 0
    return run


TINY_SPEECH = [
    *("--data.voices", "en-us+f1", "en-us+m3", "--data.sentences", "6", "--data.chunk", "4096", "--data.hop", "4096"),
    *("--model.encoder.width", "8", "--model.encoder.residual-blocks", "0", "--model.decoder.width", "8", "--model.decoder.blocks", "1"),
    *("--model.quantizer.dim", "4", "--model.quantizer.codebook-size", "8"),
    *("--steps", "3", "--batch-size", "4", "--device", "cpu", "--precision", "float32"),
]
TINY_WAVENET = [
    *("--steps", "3", "--batch-size", "4", "--device", "cpu", "--precision", "float32"),
    *("--model.layers", "2", "--model.residual", "4", "--model.skip", "4", "--model.output-hidden", "4"),
]


@pytest.fixture(scope="session")
def speech_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of both stages on two of eSpeak's voices."""
    run = tmp_path_factory.mktemp("runs") / "speech"
    assert main(["train", "speech-demo", "--out", str(run), *TINY_SPEECH]) == 0
    assert main(["train-prior", str(run), *TINY_WAVENET]) == 0
    return run
