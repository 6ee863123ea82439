"""A run's card, and what version 1 of the format had in its place."""

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import tiny
from vqvae import storage
from vqvae.codes import Level
from vqvae.errors import CheckpointError, ConfigError
from vqvae.quantizers import IdentityQuantizerConfig
from vqvae.signals import Signal, pictures
from vqvae.storage import RunCard
from vqvae.storage.card import card_from_extra, card_from_json, card_to_json, renamed_in_version_2, upgraded

FULL = RunCard(
    signal=Signal(axes=("time",), channels=1, low=-1.0, high=1.0, sample_rate=16000.0),
    layout=(Level(2, 8, (4,)), Level(1, 512, (2,))),
    size=(4096,),
    recipe="voices",
    data="voices-1234",
    held_out_data="voices-5678",
    label_names=("anna", "bert"),
    action_names=("left", "right"),
    training={"kind": "TrainConfig", "steps": 12, "model": {"kind": "Own"}},
    metrics={"held_out_loss": 0.5},
    library="0.0.1",
)
EXTRA: dict[str, Any] = {
    "recipe": "tiny",
    "data": "noise",
    "label_names": ["even", "odd"],
    "action_names": ["left"],
    "size": [8, 8],
    "training": {"kind": "TrainConfig", "steps": 12},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stored part."""
    storage.save(tiny.model().build(), tmp_path / "a", FULL)
    return tmp_path / "a"


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def as_version_1(folder: Path, extra: dict[str, Any]) -> None:
    """Make a stored part what version 1 would have written."""
    path = folder / "config.json"
    path.write_text(json.dumps({"format_version": 1, "config": json.loads(path.read_text())["config"], "extra": extra}))


def test_every_field_comes_back(folder: Path) -> None:
    empty = RunCard()
    assert all(getattr(FULL, field.name) != getattr(empty, field.name) for field in dataclasses.fields(RunCard)), "a field is not tried"
    for card in (FULL, empty):
        assert card_from_json(json.loads(json.dumps(card_to_json(card)))) == card
    stored = json.loads((folder / "config.json").read_text())
    assert stored["format_version"] == 2 and stored["card"].keys() == {field.name for field in dataclasses.fields(RunCard)}
    assert storage.read(folder).card == dataclasses.replace(FULL, library=importlib.metadata.version("vqvae"))


def test_fields_that_are_missing_are_empty(folder: Path) -> None:
    assert card_from_json({}) == RunCard()
    edit(folder, card={"recipe": "tiny"})
    assert storage.read(folder).card == RunCard(recipe="tiny")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipes": "tiny"}, r"card has the unknown fields \['recipes'\]"),
        ({"recipe": 3}, "card.recipe is 3; it must be of type str"),
        ({"library": None}, "card.library is None"),
        ({"label_names": "anna"}, "card.label_names is 'anna'; it must be a list"),
        ({"action_names": [1]}, r"card.action_names\[0\] is 1"),
        ({"size": "large"}, "card.size is 'large'"),
        ({"size": [8, 0.5]}, "card.size"),
        ({"size": [-8, 4]}, r"card.size is \[-8, 4\]; every length must be at least 1"),
        ({"training": []}, r"card.training is \[\]; it must be an object"),
        ({"metrics": 0.5}, "card.metrics is 0.5; it must be an object"),
        ({"metrics": {"held_out_loss": "low"}}, "card.metrics.held_out_loss is 'low'"),
        ({"layout": {}}, "card.layout is {}; it must be a list"),
        ({"layout": [[2, 8, [4]]]}, r"card.layout\[0\] is \[2, 8, \[4\]\]; it must be an object with"),
        ({"layout": [{"num_codebooks": 2, "codebook_size": 8}]}, r"card.layout\[0\]"),
        ({"layout": [{"num_codebooks": 2, "codebook_size": "8", "stride": [4]}]}, r"card.layout\[0\].codebook_size is '8'"),
        ({"layout": [{"num_codebooks": 2, "codebook_size": 8, "stride": [4], "lead": 3}]}, r"card.layout\[0\].lead is 3"),
        ({"layout": [{"num_codebooks": 2, "codebook_size": 8, "stride": 4}]}, r"card.layout\[0\].stride is 4"),
        ({"signal": {"kind": "Noise"}}, "card.signal.kind is 'Noise'"),
        ({"signal": {"kind": "Signal", "axes": ["time"]}}, r"card.signal .*lacks the fields \['channels'\]"),
        ({"signal": {"kind": "Signal", "axes": ["time"], "channels": 0}}, "channels must be at least 1"),
    ],
)
def test_a_damaged_card_is_named_with_its_place(folder: Path, changes: dict, words: str) -> None:
    edit(folder, card={**card_to_json(FULL), **changes})
    for read in (storage.read, storage.load):
        with pytest.raises(CheckpointError, match=f"a/config.json: .*{words}"):
            read(folder)


def test_a_card_is_an_object() -> None:
    with pytest.raises(ConfigError, match="card is 3; it must be an object"):
        card_from_json(3)


def test_version_1_is_read_without_a_rate(folder: Path) -> None:
    as_version_1(folder, EXTRA)
    stored = storage.read(folder)
    assert stored.config == tiny.model()
    assert stored.card == RunCard(
        recipe="tiny",
        data="noise",
        held_out_data="noise",
        label_names=("even", "odd"),
        action_names=("left",),
        size=(8, 8),
        training={"kind": "TrainConfig", "steps": 12},
    )
    as_version_1(folder, {})
    assert storage.read(folder).card == RunCard()


def test_version_1_is_read_with_the_rate_of_sound(folder: Path) -> None:
    as_version_1(folder, {"rate": 16000, "size": [4096]})
    card = storage.read(folder).card
    assert card.signal == Signal(axes=("time",), channels=1, low=-1.0, high=1.0, sample_rate=16000.0) and card.size == (4096,)
    assert isinstance(card.signal.sample_rate, float), "as version 2 gives it"


@pytest.mark.parametrize("name", [*EXTRA, "rate"])
def test_a_damaged_extra_is_named_with_its_place(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"extra.{name} is 0.5"):
        card_from_extra({**EXTRA, name: 0.5})
    as_version_1(folder, {**EXTRA, name: 0.5})
    with pytest.raises(CheckpointError, match=f"a/config.json: extra.{name} is 0.5"):
        storage.read(folder)


def test_a_rate_that_there_is_not_is_named_with_its_place(folder: Path) -> None:
    as_version_1(folder, {"rate": 0})
    with pytest.raises(CheckpointError, match="a/config.json: .*sample_rate is 0"):
        storage.read(folder)


def test_criteria_were_called_likelihoods() -> None:
    assert renamed_in_version_2("likelihood.steps_of_scale") == "criterion.steps_of_scale"
    assert renamed_in_version_2("tokenizer.likelihood.log_scale") == "tokenizer.criterion.log_scale"
    for name in ("decoder.likelihoods.weight", "my_likelihood.weight", "encoder.likelihood"):
        assert renamed_in_version_2(name) == name


def test_tensors_are_renamed_only_where_they_are_not_wanted_as_they_are() -> None:
    one, two = torch.ones(1), torch.zeros(1)
    assert upgraded({"likelihood.scale": one}, {"criterion.scale": two}) == {"criterion.scale": one}
    assert upgraded({"likelihood.scale": one}, {"likelihood.scale": two}) == {"likelihood.scale": one}
    # What fits neither name is left for the error that says so.
    assert upgraded({"likelihood.stranger": one}, {"criterion.scale": two}) == {"criterion.stranger": one}


def test_a_flag_of_quantizers_without_codebooks_is_dropped() -> None:
    flag = torch.tensor(True)
    assert upgraded({"quantizer.started": flag, "tokenizer.quantizer.started": flag}, {}) == {}
    assert upgraded({"quantizer.started": flag}, {"quantizer.started": flag}) == {"quantizer.started": flag}
    assert upgraded({"engine.started": flag}, {}) == {"engine.started": flag}


def rename(path: Path) -> None:
    """Give the tensors of a file the names of version 1."""
    tensors = storage.read_tensors(path)
    before = {name.replace("criterion.", "likelihood."): tensor for name, tensor in tensors.items()}
    assert before.keys() != tensors.keys()
    storage.write_tensors(before, path)


def test_weights_of_version_1_are_read(tmp_path: Path) -> None:
    part = dataclasses.replace(tiny.model(), quantizer=IdentityQuantizerConfig(dim=4)).build()
    part.criterion.steps_of_scale.data.fill_(0.25)
    storage.save(part, tmp_path / "a")
    as_version_1(tmp_path / "a", EXTRA)
    path = tmp_path / "a" / "weights.safetensors"
    rename(path)
    storage.write_tensors({**storage.read_tensors(path), "quantizer.started": torch.tensor(True)}, path)
    again = storage.load(tmp_path / "a")
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in part.state_dict().items())
    assert (again.criterion.steps_of_scale == 0.25).all() and again.signal == pictures()


def test_a_run_of_version_1_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    """Weights, their average and the optimizer, all by their names of version 1."""
    whole = tiny.trainer(tmp_path / "run", tiny.settings(), keep_last=5).run().state_dict()
    last = {path.name: path.read_bytes() for path in (tmp_path / "run/checkpoints/step-000012").glob("*.safetensors")}
    for folder in ("tokenizer", "checkpoints/step-000008", "checkpoints/step-000010", "checkpoints/step-000012"):
        for path in (tmp_path / "run" / folder).iterdir():
            path.unlink()
        (tmp_path / "run" / folder).rmdir()
    left = tmp_path / "run/checkpoints/step-000005"
    as_version_1(left, EXTRA)
    for name in ("weights", "unaveraged", "optimizer"):
        rename(left / f"{name}.safetensors")
    state = json.loads((left / "state.json").read_text())
    (left / "state.json").write_text(json.dumps({**state, "format_version": 1}))
    again = tiny.trainer(tmp_path / "run", tiny.settings()).run().state_dict()
    assert all(torch.equal(value, again[name]) for name, value in whole.items())
    assert last == {path.name: path.read_bytes() for path in (tmp_path / "run/checkpoints/step-000012").glob("*.safetensors")}


def test_a_lead_is_stored_only_where_there_is_one() -> None:
    led = dataclasses.replace(FULL, layout=(Level(1, 8, (2, 4, 4), (1, 0, 0)), Level(1, 8, (4,))))
    data = json.loads(json.dumps(card_to_json(led)))
    assert [level.get("lead") for level in data["layout"]] == [[1, 0, 0], None]
    assert card_from_json(data) == led
