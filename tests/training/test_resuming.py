"""A run goes on with what decides what is learned, wherever its data lies."""

import dataclasses
from pathlib import Path

import pytest
import torch

from tests.training import tiny
from vqvae.config import to_json
from vqvae.data import ArrayConfig, ImageFolderConfig
from vqvae.data.base import Splits
from vqvae.errors import ConfigError
from vqvae.quantizers import ResidualQuantizerConfig
from vqvae.storage import RunCard
from vqvae.training import TrainConfig
from vqvae.training.resuming import check_same, check_steps, more_steps, start_from

CARD = RunCard(data="noise", held_out_data="other noise", library="1")


def data() -> Splits:
    splits = tiny.splits()
    splits.held_out.name = "other noise"
    return splits


def check(stored: TrainConfig, config: TrainConfig, splits: Splits | None = None) -> None:
    check_same(dataclasses.replace(CARD, training=to_json(stored)), config, splits or data(), Path("run"), ())


def folder(path: str, size: int = 8, **more: object) -> TrainConfig:
    return tiny.settings(data=ImageFolderConfig(path=path, size=size, **more))


def test_places_and_resources_may_differ() -> None:
    check(folder("here", memory_gib=1.0), folder("/there/", skip_bad=True))
    check(tiny.settings(), tiny.settings(accumulate=2, compile=True, evaluate_every=1, minutes=5.0))
    check(tiny.settings(data=None), folder("here"))
    check(tiny.settings(start_from="a/run"), tiny.settings(start_from="./a/run/"))
    with pytest.raises(ConfigError, match="start_from"):
        check(tiny.settings(start_from="a"), tiny.settings(start_from="b"))


def test_what_matters_is_listed() -> None:
    with pytest.raises(ConfigError) as caught:
        check(folder("here"), folder("there", size=16))
    assert "config.data.size: 8 -> 16" in str(caught.value) and "path" not in str(caught.value)
    with pytest.raises(ConfigError, match="config.data.kind"):
        check(folder("here"), tiny.settings(data=ArrayConfig(path="here")))


def test_data_is_known_by_its_content() -> None:
    changed = data()
    changed.train.name = "new"
    with pytest.raises(ConfigError, match="training data: noise -> new"):
        check(tiny.settings(), tiny.settings(), changed)
    changed = data()
    changed.held_out.name = "new"
    with pytest.raises(ConfigError, match="held-out data: other noise -> new"):
        check(tiny.settings(), tiny.settings(), changed)


def test_names_of_version_1_are_not_compared() -> None:
    old = dataclasses.replace(CARD, data="made otherwise", held_out_data="made otherwise", library="", training=to_json(tiny.settings()))
    assert check_same(old, tiny.settings(), data(), Path("run"), ()) is None


def test_steps_may_be_more_and_never_fewer_than_are_done() -> None:
    check_steps({"steps": 12}, 5, 20, Path("run"))
    check_steps({"steps": 12}, 5, 5, Path("run"))
    with pytest.raises(ConfigError, match="already taken 5 steps"):
        check_steps({"steps": 12}, 5, 4, Path("run"))
    assert "stretched over all 20 steps" in more_steps(tiny.settings(steps=20), {"steps": 12}, 5)


def test_a_run_with_other_codebooks_starts_from_the_networks_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tiny.trainer(tmp_path / "source", tiny.settings()).run()
    for quantizer in (
        dataclasses.replace(source.config.quantizer, codebook_size=9),
        ResidualQuantizerConfig(dim=4, codebook_size=8, num_codebooks=3),
    ):
        other = dataclasses.replace(source.config, quantizer=quantizer).build()
        before = {name: value.clone() for name, value in other.quantizer.state_dict().items()}
        start_from(str(tmp_path / "source"), other, "tokenizer", ())
        assert "other sizes" in capsys.readouterr().err
        assert not other.quantizer.started
        assert all(torch.equal(value, before[name]) for name, value in other.quantizer.state_dict().items())
        kept = {name: value for name, value in other.state_dict().items() if not name.startswith("quantizer.")}
        assert kept and all(torch.equal(value, source.state_dict()[name]) for name, value in kept.items())
    same = source.config.build()
    start_from(str(tmp_path / "source"), same, "tokenizer", ())
    assert same.quantizer.started and not capsys.readouterr().err
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in same.state_dict().items())
