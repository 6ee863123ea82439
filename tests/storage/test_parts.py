"""Parts as folders."""

import dataclasses
import errno
import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from tests.training import adversary, tiny
from vqvae import disk, storage
from vqvae.errors import CheckpointError, ConfigError
from vqvae.evaluation.probes import ProbeConfig
from vqvae.evaluation.probes.speakers import SpeakerClassifierConfig
from vqvae.models import VQVAE
from vqvae.signals import Signal
from vqvae.storage import RunCard, parts


@pytest.fixture
def part() -> nn.Module:
    torch.manual_seed(0)
    return tiny.model().build()


def same(a: nn.Module, b: nn.Module) -> bool:
    mine, yours = a.state_dict(), b.state_dict()
    return mine.keys() == yours.keys() and all(torch.equal(mine[name], yours[name]) for name in mine)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_part_comes_back(part: nn.Module, tmp_path: Path, memory_format: torch.memory_format) -> None:
    part.to(memory_format=memory_format)
    card = RunCard(label_names=("cat", "dog"), recipe="tiny", data="noise")
    storage.save(part, tmp_path / "a" / "tokenizer", card)
    again = storage.load(tmp_path / "a" / "tokenizer")
    assert same(part, again) and not again.training
    assert storage.read(tmp_path / "a" / "tokenizer") == (part.config, card.with_version())
    assert sorted(path.name for path in (tmp_path / "a").rglob("*")) == ["config.json", "tokenizer", "weights.safetensors"]


def test_loading_draws_nothing(part: nn.Module, tmp_path: Path) -> None:
    storage.save(part, tmp_path / "a")
    before = torch.get_rng_state()
    storage.load(tmp_path / "a")
    assert torch.equal(torch.get_rng_state(), before)


def test_tied_weights_are_stored(tmp_path: Path) -> None:
    tied = torch.randn(3)
    storage.write_tensors({"a": tied, "b": tied, "c": torch.tensor(True), "d": torch.zeros(0, 2)}, tmp_path / "x.safetensors")
    back = storage.read_tensors(tmp_path / "x.safetensors")
    assert torch.equal(back["a"], tied) and torch.equal(back["b"], tied)
    assert back["c"].item() is True and back["d"].shape == (0, 2)


@pytest.mark.parametrize("can_exchange", [True, False])
def test_an_older_part_is_replaced(part: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_exchange: bool) -> None:
    if not can_exchange:
        monkeypatch.setattr(disk, "_exchange", lambda a, b: False)
    storage.save(part, tmp_path / "a", RunCard(recipe="first"))
    newer = tiny.model(codebook_size=5).build()
    storage.save(newer, tmp_path / "a", RunCard(recipe="second"))
    assert same(storage.load(tmp_path / "a"), newer) and storage.read(tmp_path / "a").card.recipe == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_there_is_no_moment_without_the_part(part: nn.Module, tmp_path: Path) -> None:
    storage.save(part, tmp_path / "a")
    if not disk._exchange(tmp_path / "a", tmp_path / "a"):
        pytest.skip("this file system cannot exchange two names")
    ended, missing = threading.Event(), []

    def watch() -> None:
        while not ended.is_set():
            missing.extend([] if (tmp_path / "a" / "config.json").exists() else ["gone"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(50):
        storage.save(part, tmp_path / "a")
    ended.set()
    watcher.join()
    assert not missing


def test_files_of_others_are_not_lost(part: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match=r"home contains \['thesis.tex'\]"):
        storage.save(part, tmp_path / "home")
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"
    assert [path.name for path in tmp_path.rglob("*")] == ["home", "thesis.tex"]


def test_a_full_disk_leaves_what_was_there(part: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.save(part, tmp_path / "a")

    def full(tensors: dict, path: Path) -> None:
        path.write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(parts, "save_file", full)
    with pytest.raises(CheckpointError, match="a could not be written.*No space left"):
        storage.save(tiny.model().build(), tmp_path / "a")
    assert same(storage.load(tmp_path / "a"), part)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_place_that_cannot_be_written_is_named(part: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file/a could not be written"):
        storage.save(part, tmp_path / "file" / "a")


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "noise"])
def test_damaged_files_are_named(part: nn.Module, tmp_path: Path, name: str, damage: str) -> None:
    storage.save(part, tmp_path / "a")
    path = tmp_path / "a" / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": path.read_bytes()[:-20], "empty": b"", "noise": bytes(range(256)) * 8}[damage])
    with pytest.raises(CheckpointError, match=f"{name} is {'missing' if damage == 'missing' else 'damaged'}"):
        storage.load(tmp_path / "a")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": 3}, "format_version 3; this release reads up to 2. Install a newer"),
        ({"format_version": None}, "has no format_version"),
        ({"format_version": True}, "has no format_version"),
        ({"config": None}, "lacks 'config'"),
        ({"card": []}, "lacks 'config' or 'card'"),
        ({"format_version": 1}, "lacks 'config' or 'extra'"),
        ({"config": {"kind": "Thief"}}, "config.json: .*kind is 'Thief'"),
        ({"config": {"kind": "VQVAEConfig", "likelihod": 1}}, "no field 'likelihod'"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(part: nn.Module, tmp_path: Path, changes: dict, words: str) -> None:
    storage.save(part, tmp_path / "a")
    edit(tmp_path / "a", **changes)
    with pytest.raises(CheckpointError, match=words):
        storage.load(tmp_path / "a")


def test_a_configuration_that_cannot_be_built_names_its_file(part: nn.Module, tmp_path: Path) -> None:
    storage.save(part, tmp_path / "a")
    data = json.loads((tmp_path / "a" / "config.json").read_text())
    data["config"]["quantizer"]["codebook_size"] = 0
    edit(tmp_path / "a", config=data["config"])
    with pytest.raises(CheckpointError, match="config.json describes a part that cannot be built.*codebook_size is 0"):
        storage.load(tmp_path / "a")


def test_weights_that_do_not_fit_are_refused_by_name(part: nn.Module, tmp_path: Path) -> None:
    storage.save(part, tmp_path / "a")
    tensors = storage.read_tensors(tmp_path / "a" / "weights.safetensors")
    tensors["quantizer.counts"] = tensors["quantizer.counts"].double()
    tensors["quantizer.codebook"] = torch.zeros(1, 9, 4)
    tensors["stranger"] = tensors.pop("quantizer.sums")
    storage.write_tensors(tensors, tmp_path / "a" / "weights.safetensors")
    with pytest.raises(CheckpointError) as caught:
        storage.load(tmp_path / "a")
    for words in (
        "weights.safetensors does not fit",
        "quantizer.sums is missing",
        "stranger is unknown",
        "quantizer.codebook is float32[1, 9, 4], expected float32[1, 8, 4]",
        "quantizer.counts is float64[1, 8], expected float32[1, 8]",
    ):
        assert words in str(caught.value)


def test_an_old_part_is_back_after_a_kill_where_names_cannot_be_exchanged(part: nn.Module, tmp_path: Path) -> None:
    storage.save(part, tmp_path / "a")
    place = tmp_path / disk.TEMPORARY / ("0" * 16)
    (place / "new" / "a").mkdir(parents=True)
    (place / "old").mkdir()
    (tmp_path / "a").rename(place / "old" / "a")
    assert same(storage.load(tmp_path / "a"), part)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_other_kinds_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    probe = SpeakerClassifierConfig(speakers=3, width=4, layers=1).build()
    storage.save(probe, tmp_path / "probe", RunCard(label_names=("a", "b", "c")))
    with pytest.raises(CheckpointError, match="'SpeakerClassifierConfig'; it must be one of"):
        storage.load(tmp_path / "probe")
    for also in ([SpeakerClassifierConfig], get_args(ProbeConfig)):
        assert same(probe, storage.load(tmp_path / "probe", also))


@dataclass(frozen=True, kw_only=True)
class OwnConfig:
    """A configuration of a user."""

    sizes: tuple[int, ...] = (1, 2)

    def build(self, signal: Signal, dim: int) -> "Own":
        return Own(self)


class Own(nn.Module):
    """A module of a user: an encoder that cuts a picture into halves."""

    stride = (2, 2)

    def __init__(self, config: OwnConfig) -> None:
        super().__init__()
        self.config = config
        self.layer = nn.Conv2d(3, 4, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x.float())


def joined(built: nn.Module, encoder: nn.Module, further: tuple = ()) -> VQVAE:
    """A model with an encoder, and perhaps a criterion, of the user's own."""
    return VQVAE(encoder=encoder, quantizer=built.quantizer, decoder=built.decoder, criterion=built.criterion, further=further)


def test_a_module_without_a_configuration_is_refused_with_the_lines_that_mend_it(part: nn.Module, tmp_path: Path) -> None:
    bare = Own(OwnConfig())
    del bare.config
    judge = adversary.ToyAdversaryConfig().build()
    del judge.config
    for module, words in (
        (bare, "Own cannot be stored: it has no configuration."),
        (nn.Sequential(nn.Linear(1, 1)), "Sequential cannot be stored: it has no configuration."),
        (joined(part, bare), "VQVAE cannot be stored: its parts ['encoder'] have no configuration."),
        (joined(part, part.encoder, ((1.0, judge),)), "VQVAE cannot be stored: its parts ['further.0'] have no configuration."),
    ):
        with pytest.raises(ConfigError) as caught:
            storage.save(module, tmp_path / "a")
        assert str(caught.value).startswith(words)
        for line in ("@dataclass(frozen=True, kw_only=True)", "class MyConfig:", "def build(self, ...): return", "parts=[MyConfig]"):
            assert line in str(caught.value)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("sizes", "words"), [([1, 2], "reads back as OwnConfig"), ({"a": 1}, "cannot contain a dict"), ({1}, "cannot contain a set")]
)
def test_a_configuration_that_does_not_read_back_is_refused(part: nn.Module, tmp_path: Path, sizes: object, words: str) -> None:
    with pytest.raises(ConfigError, match=f"could not be loaded again.*{words}"):
        storage.save(Own(OwnConfig(sizes=sizes)), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_parts_of_the_users_own_are_read_by_who_names_them(part: nn.Module, tmp_path: Path) -> None:
    model = joined(part, Own(OwnConfig()), ((0.5, adversary.ToyAdversaryConfig(width=3).build()),))
    storage.save(model, tmp_path / "a")
    again = storage.load(tmp_path / "a", [OwnConfig, adversary.ToyAdversaryConfig])
    assert same(model, again) and isinstance(again.encoder, Own) and again.config == model.config and again.weights == (0.5,)
    for given, missing in (([], "OwnConfig"), ([OwnConfig], "ToyAdversaryConfig"), ([adversary.ToyAdversaryConfig], "OwnConfig")):
        with pytest.raises(CheckpointError, match=rf"a/config.json: .*kind is '{missing}'.*parts=\[{missing}\]"):
            storage.load(tmp_path / "a", given)


@pytest.mark.parametrize("kind", ["thief", "thief.ThiefConfig", "ThiefConfig", "builtins.print"])
def test_nothing_is_imported_by_a_name_that_is_stored(part: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    (tmp_path / "thief.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    storage.save(joined(part, Own(OwnConfig())), tmp_path / "a")
    config = json.loads((tmp_path / "a" / "config.json").read_text())["config"]
    for stored in ({"kind": kind}, {**config, "encoder": {"kind": kind}}):
        edit(tmp_path / "a", config=stored)
        with pytest.raises(CheckpointError, match=f"kind is '{kind}'"):
            storage.load(tmp_path / "a", [OwnConfig])
    assert "thief" not in sys.modules


def test_a_name_that_the_package_has_is_the_packages(part: nn.Module, tmp_path: Path) -> None:
    own = dataclasses.make_dataclass("ImageEncoderConfig", [("widths", int, 1)], frozen=True)
    model = joined(part, part.encoder)
    storage.save(model, tmp_path / "a")
    assert storage.read(tmp_path / "a", [own]).config == part.config
    part.encoder.config = own()
    with pytest.raises(ConfigError, match="could not be loaded again"):
        storage.save(joined(part, part.encoder), tmp_path / "b")
