"""E1 from nothing to its table, on small data."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.experiments.small import OPTIONS, job
from vqvae import config as configuration
from vqvae.data import SyntheticImagesConfig
from vqvae.errors import CheckpointError
from vqvae.experiments import comparison
from vqvae.experiments.base import Scale
from vqvae.experiments.comparison import FOLDER, SIZES, others, prior, reproduce_comparison, tokenizer
from vqvae.models import VIMCOConfig
from vqvae.runs.stages import train_prior, train_tokenizer
from vqvae.training import TrainConfig


@pytest.mark.parametrize("scale", SIZES)
def test_all_have_one_network_and_one_training(scale: Scale) -> None:
    first = tokenizer(scale, None)
    for stage, config in others(scale).items():
        assert configuration.from_json(TrainConfig, configuration.to_json(config)) == config
        assert (config.model.encoder, config.model.decoder) == (first.model.encoder, first.model.decoder)
        assert (config.model.likelihood == first.model.likelihood) is not stage.endswith("mixture")
        assert (config.batch_size, config.optimizer, config.seed) == (first.batch_size, first.optimizer, first.seed)
        assert config.steps == (SIZES[scale].fewer_steps if stage == "vimco-50" else first.steps)
        if isinstance(config.model, VIMCOConfig):
            assert config.model.num_codebooks == first.model.quantizer.num_codebooks
            assert config.model.dim == first.model.quantizer.dim


def test_paper_scale_has_the_numbers_of_the_paper() -> None:
    config = tokenizer("paper", None)
    assert (config.steps, config.batch_size, config.optimizer.learning_rate) == (250_000, 128, 2e-4)
    assert (config.model.quantizer.num_codebooks, config.model.quantizer.codebook_size, config.model.encoder.widths) == (
        10,
        512,
        (256, 256),
    )
    assert others("paper")["vimco"].model.samples == 50


def test_from_nothing_to_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"width": 4, "num_codebooks": 2, "steps": 3, "batch_size": 4, "samples": 2, "more_samples": 3, "fewer_steps": 2}
    small = dataclasses.replace(SIZES["cpu"], **changes, scored=10, layers=2, hidden=4, prior_steps=3)
    monkeypatch.setitem(SIZES, "cpu", small)
    monkeypatch.setattr(comparison, "SUMMED", 3)
    run, results = tmp_path / "run", tmp_path / "results"
    data = SyntheticImagesConfig(count=60, size=16, classes=3)
    first = dataclasses.replace(tokenizer("cpu", None), data=data)
    train_tokenizer(first, OPTIONS, run, recipe="comparison", scored=False)
    with pytest.raises(CheckpointError, match="vqvae reproduce e1"):
        reproduce_comparison(job("e1", run, results))
    train_prior(prior("cpu", first.model.build().layout[0], 3), OPTIONS, run)
    record = reproduce_comparison(job("e1", run, results))
    assert record == json.loads((results / "e1.json").read_text())
    rows = {stage: record[stage] for stage in ("vqvae", *others("cpu"))}
    for row in rows.values():
        assert row["bits_per_dim"] == pytest.approx(row["bits_per_dim_reconstruction"] + row["bits_per_dim_latents"])
        assert 4 < row["bits_per_dim"] < 12 and row["examples"] == 3 and row["seconds"] > 0
    assert rows["vqvae"]["bits_per_dim_latents"] == pytest.approx(2 * 9 * 16 / (3 * 16 * 16)), "N log K of 4×4×2 codes"
    assert rows["vqvae"]["bits_per_dim_unigram"] != rows["vqvae"]["bits_per_dim_learned"]
    assert rows["vqvae"]["bits_per_dim_bfloat16"] == pytest.approx(rows["vqvae"]["bits_per_dim"], abs=0.1)
    assert rows["vqvae"]["bits_per_dim_bfloat16"] != rows["vqvae"]["bits_per_dim"]
    assert rows["vqvae"]["bits_per_dim_gained_by_sum"] > 0, "codes that nobody has learned to read are all alike"
    assert set(record["seconds_by_stage"]) == {*rows, "data", "codes", "prior", "evaluation"}
    assert record["seconds"] == pytest.approx(sum(record["seconds_by_stage"].values()))
    assert (rows["vae"]["published"], rows["gumbel"]["published"], rows["vimco-3"]["steps"]) == (4.51, None, 2)
    assert rows["vae"]["bits_per_dim_2_samples"] > 0
    table = (results / "e1.md").read_text()
    assert "– with the learned prior" in table and "VIMCO, 3 draws" in table
    before = (run / FOLDER / "metrics.jsonl").read_bytes()
    again = reproduce_comparison(job("e1", run, results))
    assert [again[stage]["bits_per_dim"] for stage in rows] == [row["bits_per_dim"] for row in rows.values()]
    assert (run / FOLDER / "metrics.jsonl").read_bytes() == before, "what is trained stays"
