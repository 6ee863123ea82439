"""``reproduce`` from a name to the table: folders, files, and what stops it before hours are spent."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.small import OPTIONS
from vqvae.data import SyntheticImagesConfig
from vqvae.errors import ConfigError
from vqvae.experiments import ablations, comparison
from vqvae.experiments import reproduce as module
from vqvae.experiments.reproduce import EXPERIMENTS, reproduce


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Small data in the place of CIFAR-10, small networks, few steps."""
    for part in (comparison, ablations):
        monkeypatch.setattr(part, "Cifar10Config", lambda path: SyntheticImagesConfig(count=60, size=16, classes=3))
    shared = {"width": 4, "num_codebooks": 2, "steps": 3, "batch_size": 4, "scored": 3}
    sampled = {"samples": 2, "more_samples": 3, "fewer_steps": 2, "layers": 2, "hidden": 4, "prior_steps": 3}
    monkeypatch.setitem(comparison.SIZES, "cpu", dataclasses.replace(comparison.SIZES["cpu"], **shared, **sampled))
    settings = {"other_steps": (5,), "commitment_costs": (0.25,), "capacities": (1, 2), "codebook_sizes": (512,), "counted": 20}
    monkeypatch.setitem(ablations.SIZES, "cpu", dataclasses.replace(ablations.SIZES["cpu"], **shared, **settings))
    monkeypatch.setattr(comparison, "SUMMED", 2)
    return lambda name: reproduce(name, "cpu", data=None, results=tmp_path / "results", runs=tmp_path / "runs", options=OPTIONS)


@pytest.mark.parametrize(("name", "rows"), [("e1", {"vae", "vqvae", "vimco", "gumbel"}), ("e11", {"base", "seed=1", "base, 5 steps"})])
def test_from_a_name_to_the_table(name: str, rows: set[str], call: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    record = call(name)
    assert record == json.loads((tmp_path / "results" / f"{name}.json").read_text())
    assert rows <= set(record) and record["name"] == name
    assert EXPERIMENTS[name].title in (tmp_path / "results" / f"{name}.md").read_text()
    run = tmp_path / "runs" / f"{name}-cpu"
    assert run.is_dir() and not (run / "report.html").exists(), "scored once, by the experiment"
    trained = (run / "metrics.jsonl").read_bytes()
    again = call(name)
    assert all(again[row]["seconds"] == record[row]["seconds"] for row in rows)
    assert (run / "metrics.jsonl").read_bytes() == trained


def test_other_settings_for_the_same_run_are_an_error(
    call: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call("e11")
    monkeypatch.setitem(ablations.SIZES, "cpu", dataclasses.replace(ablations.SIZES["cpu"], width=8))
    with pytest.raises(ConfigError, match="trained with other settings"):
        call("e11")


def test_what_stops_it_before_anything_is_trained(
    call: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no experiment 'e12'. Choose one of e1, "):
        call("e12")
    (tmp_path / "results").write_text("a file")
    with pytest.raises(ConfigError, match="Choose another --out"):
        call("e11")
    (tmp_path / "results").unlink()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="one process"):
        call("e11")
    assert not (tmp_path / "runs").exists()


def test_every_experiment_has_a_run_or_trains_its_own() -> None:
    for experiment in EXPERIMENTS.values():
        assert (experiment.settings in module.SETTINGS and experiment.stages > 0) or experiment.after is not None


def test_results_of_others_are_not_replaced(call: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    mine = tmp_path / "results" / "e11.md"
    mine.parent.mkdir()
    mine.write_text("notes of mine")
    for record in (None, "{}", "no json"):
        if record is not None:
            mine.with_suffix(".json").write_text(record)
        with pytest.raises(ConfigError, match=r"e11\.md exists already"):
            call("e11")
    assert mine.read_text() == "notes of mine" and not (tmp_path / "runs").exists()


def test_a_folder_of_others_is_no_run(call: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "runs" / "e11-cpu").mkdir(parents=True)
    (tmp_path / "runs" / "e11-cpu" / "notes").write_text("notes of mine")
    with pytest.raises(ConfigError, match="contains .'notes'. and is not a run"):
        call("e11")
    assert [path.name for path in (tmp_path / "runs" / "e11-cpu").iterdir()] == ["notes"]
