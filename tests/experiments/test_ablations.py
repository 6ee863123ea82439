"""E11 from nothing to its table, on small data."""

import dataclasses
import json
import typing
from pathlib import Path

import pytest

from tests.experiments.small import job
from vqvae import config as configuration
from vqvae.data import SyntheticImagesConfig
from vqvae.experiments import ablations
from vqvae.experiments.ablations import SIZES, reproduce_ablations, settings
from vqvae.experiments.base import Scale
from vqvae.training import TrainConfig


@pytest.mark.parametrize("scale", SIZES)
def test_each_setting_changes_what_it_says_and_nothing_else(scale: Scale) -> None:
    configs = settings(scale, "somewhere")
    base = configuration.to_json(configs["base"])
    for name, config in configs.items():
        assert configuration.from_json(TrainConfig, configuration.to_json(config)) == config
        changed = {line.split(":")[0].strip() for line in configuration.differences(base, configuration.to_json(config))}
        field = name.partition("=")[0].partition(",")[0]
        expected = {"base": set(), "num_codebooks": {"num_codebooks", "dim"}}.get(field, {field})
        expected |= {"steps"} if name.endswith(" steps") else set()
        assert {one.rpartition(".")[2] for one in changed} == expected, name
    costs = {config.model.quantizer.commitment_cost for config in configs.values()}
    assert costs == {0.1, 0.25, 0.5, 1.0, 2.0}, "those of the paper lie among them [VQVAE §3.2]"


def test_from_nothing_to_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"width": 4, "steps": 3, "other_steps": (2, 5), "batch_size": 4, "num_codebooks": 2, "codebook_size": 8}
    values = {"scored": 3, "counted": 20, "commitment_costs": (0.25, 1.0), "capacities": (1, 2), "codebook_sizes": (4, 8)}
    monkeypatch.setitem(SIZES, "cpu", dataclasses.replace(SIZES["cpu"], **sizes, **values))
    # In the place of CIFAR-10.
    monkeypatch.setattr(ablations, "Cifar10Config", lambda path: SyntheticImagesConfig(count=60, size=16, classes=3))
    called = job("e11", tmp_path / "run", tmp_path / "results")
    record = reproduce_ablations(called)
    assert record == json.loads((called.results / "e11.json").read_text())
    rows: dict[str, typing.Any] = {name: record[name] for name in settings("cpu", None)}
    assert set(rows) == {
        *("base", "commitment_cost=1", "learning=gradient", "num_codebooks=1", "codebook_size=4", "seed=1"),
        *("base, 2 steps", "num_codebooks=1, 2 steps", "base, 5 steps", "num_codebooks=1, 5 steps"),
    }
    for row in rows.values():
        codes = row["num_codebooks"] * 16 * {8: 3, 4: 2}[row["codebook_size"]]
        assert row["bits_per_dim_uniform"] == pytest.approx(row["bits_per_dim_reconstruction"] + codes / (3 * 16 * 16))
        assert row["examples"] == 3 and row["seconds"] > 0 and 0 < row["codes_used"] <= 1
    assert (rows["base, 5 steps"]["steps"], rows["learning=gradient"]["learning"], record["steps"]) == (5, "gradient", 32)
    assert rows["seed=1"]["bits_per_dim_uniform"] != rows["base"]["bits_per_dim_uniform"]
    assert [row["num_codebooks"] for row in ablations.curve(rows, 5)] == [1, 2]
    assert "commitment_cost=1 " in (called.results / "e11.md").read_text()
    assert "5 steps" in (called.results / "e11-curve.svg").read_text()
    before = (called.run / "metrics.jsonl").read_bytes()
    again = reproduce_ablations(called)
    assert [again[name]["bits_per_dim_unigram"] for name in rows] == [row["bits_per_dim_unigram"] for row in rows.values()]
    assert (called.run / "metrics.jsonl").read_bytes() == before, "what is trained stays"
