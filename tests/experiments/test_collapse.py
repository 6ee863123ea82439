"""E5 from a tokenizer to its table, on small data."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.experiments.small import OPTIONS, job
from tests.training import tiny
from vqvae import config as configuration
from vqvae.codes import Level
from vqvae.data import SyntheticImagesConfig
from vqvae.errors import CheckpointError
from vqvae.experiments import collapse
from vqvae.experiments.base import Scale
from vqvae.experiments.collapse import FOLDER, SIZES, CollapseSize, reproduce_collapse, second_stages
from vqvae.models import VAE, VQVAE
from vqvae.priors import PixelCNN
from vqvae.runs.stages import train_tokenizer
from vqvae.training import TrainConfig


@pytest.mark.parametrize("scale", SIZES)
def test_the_three_have_one_encoder_one_decoder_and_one_training(scale: Scale) -> None:
    configs = second_stages(Level(2, 512, (4, 4)), (21, 21), scale)
    assert configuration.from_json(TrainConfig, configuration.to_json(configs["vqvae"])) == configs["vqvae"]
    models = {stage: config.model.build() for stage, config in configs.items()}
    codes, gaussians, without = models.values()
    assert isinstance(codes, VQVAE) and isinstance(gaussians, VAE) and isinstance(without, PixelCNN)
    assert codes.layout == (Level(3, 512, (21, 21)),), "27 bits an image"
    assert codes.decoder.config == gaussians.decoder.config and codes.encoder.config == gaussians.encoder.config
    shapes = [{name: p.shape for name, p in part.named_parameters()} for part in (codes.decoder, gaussians.decoder, without)]
    assert shapes[0] == shapes[1] and shapes[2] == {name: shape for name, shape in shapes[0].items() if not name.startswith("given.")}
    trainings = [{**configuration.to_json(config), "model": None} for config in configs.values()]
    assert trainings[0] == trainings[1] == trainings[2]


def test_from_a_tokenizer_to_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SIZES, "cpu", CollapseSize(layers=2, hidden=8, kernel=3, steps=6, batch_size=4, learning_rate=1e-3))
    monkeypatch.setattr(collapse, "SHOWN", 3)
    run, results = tmp_path / "run", tmp_path / "results"
    data = SyntheticImagesConfig(count=40, size=16, classes=3)
    train_tokenizer(tiny.settings(data=data, steps=4), OPTIONS, run, recipe="images")
    record = reproduce_collapse(job("e5", run, results))
    assert record == json.loads((results / "e5.json").read_text())
    assert record["steps"] == 18 and set(record["seconds_by_stage"]) == {"vqvae", "vae", "without-latents", "evaluation"}
    for stage, amount in (("vqvae", "code_entropy"), ("vae", "kl_bits")):
        assert {"bits_gained", "bits_lost_when_shuffled", "active_units", amount} <= set(record[stage])
        assert (run / FOLDER / stage / "weights.safetensors").is_file()
    assert "bits_gained" in (results / "e5.md").read_text()
    with Image.open(results / "e5-reconstructions.png") as picture:
        assert picture.size[1] == 8 * 16 + 7 * 2, "a frame, its codes, and three draws of each"
    before = (run / FOLDER / "metrics.jsonl").read_bytes()
    again = reproduce_collapse(job("e5", run, results))
    assert (again["vqvae"], again["vae"]) == (record["vqvae"], record["vae"])
    assert (run / FOLDER / "metrics.jsonl").read_bytes() == before, "what is trained stays"


def test_without_a_tokenizer_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="vqvae train"):
        reproduce_collapse(job("e5", tmp_path, tmp_path))
