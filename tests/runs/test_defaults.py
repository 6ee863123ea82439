"""The commands of a report, read by the command line again, give the settings of the run."""

import dataclasses
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.shards import pngs, write_parquet
from tests.experiments.small import OPTIONS
from tests.training import tiny
from vqvae import config as configuration
from vqvae import storage
from vqvae.cli import train, train_prior
from vqvae.errors import ConfigError, VqvaeError
from vqvae.media.images import write_png
from vqvae.pipeline import Pipeline, about, save
from vqvae.quantizers import FSQConfig
from vqvae.recipes import RECIPES, fitted
from vqvae.runs.defaults import _flag, commands, prior_config
from vqvae.runs.folder import stored_config
from vqvae.runs.stages import train_prior as train_second
from vqvae.runs.stages import train_tokenizer
from vqvae.storage import RunCard
from vqvae.training import TrainConfig


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stages of the recipe for a folder of pictures, few steps each, and a second prior of another seed."""
    place = tmp_path_factory.mktemp("runs")
    random = np.random.default_rng(0)
    for number in range(6):
        write_png(place / "my pictures" / f"{number}.png", random.integers(0, 256, (8, 8, 3), np.uint8))
    config = RECIPES["images"].tokenizer(str(place / "my pictures"))
    data: Any = config.data
    config = dataclasses.replace(config, steps=2, seed=5, precision="float32", data=dataclasses.replace(data, channels=1, mirror=True))
    config, run = fitted(config, RECIPES["images"].tokenizer(data.path)), place / "run"
    train_tokenizer(config, OPTIONS, run, recipe="images", scored=False)
    second = prior_config(run)
    train_second(dataclasses.replace(second, steps=2, seed=5), OPTIONS, run, scored=False)
    train_second(dataclasses.replace(second, steps=1), OPTIONS, run, name="other", scored=False)
    return run


def stored(folder: Path, config: TrainConfig, recipe: str) -> Path:
    """A run folder with these settings."""
    save(Pipeline(tiny.model().build(), card=RunCard(recipe=recipe, training=configuration.to_json(config))), folder)
    return folder


def read(monkeypatch: pytest.MonkeyPatch, line: str) -> tuple[TrainConfig, Path]:
    """The settings and the folder that a command trains with."""
    found: list[Any] = []
    for module, name in ((train, "train_both"), (train, "train_tokenizer"), (train_prior, "train_prior")):
        monkeypatch.setattr(module, name, lambda config, options, out, **more: found.extend((config, out)))
    program, command, *words = shlex.split(line)
    assert program == "vqvae"
    {"train": train, "train-prior": train_prior}[command].main(words)
    return found[0], found[1]


def test_commands_give_the_settings_of_both_stages(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = commands(run).splitlines()
    assert "'" in first and first.endswith("--prior no"), "a path with a space is quoted"
    config, out = read(monkeypatch, first)
    assert configuration.essence(config) == configuration.essence(stored_config(run)) and out == Path(f"{run}-again")
    assert config.data == stored_config(run).data
    config, out = read(monkeypatch, second.replace(f"{run}-again", str(run)))
    assert config == stored_config(run, "prior")


def test_what_a_recipe_looks_at_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    np.save(tmp_path / "x.npy", np.zeros((6, 4, 32), np.float32))
    write_parquet(tmp_path / "x.parquet", one=pngs(8), two=pngs(8), kind=[1, 2] * 4)
    columns = {"column": "two", "label_column": "kind", "cache": str(tmp_path / "index")}
    for recipe, path, words in (("arrays", "x.npy", {"layout": "n t c"}), ("images", "x.parquet", columns)):
        config = RECIPES[recipe].tokenizer(str(tmp_path / path), **words)
        (line,) = (one for one in commands(stored(tmp_path / recipe, config, recipe)).splitlines() if "train-prior" not in one)
        assert read(monkeypatch, line)[0].data == config.data, line


def test_a_prior_with_a_name_keeps_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = commands(run, "other").splitlines()[1]
    assert "--name other" in line and "--seed 0" in line
    assert read(monkeypatch, line.replace(f"{run}-again", str(run)))[0] == stored_config(run, "priors/other")


def test_a_recipe_without_changes_is_one_short_command(tmp_path: Path) -> None:
    cifar = stored(tmp_path / "cifar", RECIPES["cifar10"].tokenizer("data"), "cifar10")
    assert commands(cifar) == f"vqvae train cifar10 --data data --out {cifar}-again --prior no"


def test_another_kind_of_part_takes_a_settings_file(tmp_path: Path) -> None:
    config = RECIPES["cifar10"].tokenizer("data")
    model: Any = config.model
    model = dataclasses.replace(model, quantizer=FSQConfig(dim=64, levels=(8, 8)))
    run = stored(tmp_path / "run", dataclasses.replace(config, model=model), "cifar10")
    assert commands(run).splitlines() == [
        f"vqvae info {run} --settings > tokenizer.json",
        f"vqvae train tokenizer.json --data data --out {run}-again",
    ]


def test_a_prior_beside_a_settings_file_takes_one_too(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    config = stored_config(run)
    model: Any = config.model
    config = dataclasses.replace(config, model=dataclasses.replace(model, quantizer=FSQConfig(dim=64, levels=(8, 8))))
    storage.write_card(tmp_path / "run" / "tokenizer", dataclasses.replace(about(run), training=configuration.to_json(config)))
    lines = commands(tmp_path / "run").splitlines()
    assert [line.split()[1] for line in lines] == ["info", "train", "info", "train-prior"] and lines[3].endswith("--settings prior.json")


def test_data_that_has_moved_still_gives_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(RECIPES["images"].tokenizer(str(tmp_path / "gone")), steps=7)
    run = stored(tmp_path / "run", config, "images")
    assert "--steps 7" in commands(run)
    assert read(monkeypatch, commands(run))[0] == config


def test_names_that_look_like_flags_are_read_as_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "-pictures"
    config = dataclasses.replace(RECIPES["images"].tokenizer(f"./{name}"), steps=7, start_from="-other")
    data: Any = config.data
    config = dataclasses.replace(config, data=dataclasses.replace(data, path=name))
    run = stored(Path(f"{name}-run"), config, "images")
    again, out = read(monkeypatch, commands(run))
    assert out == Path(f"{name}-run-again") and again.start_from == "-other"
    assert configuration.essence(again) == configuration.essence(config) and Path(getattr(again.data, "path", "")) == Path(name)


def changed(config: Any) -> Any:
    """The configuration with another value in every plain field where one is legal."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name in ("path", "start_from"):
            continue
        if dataclasses.is_dataclass(value):
            others: list[Any] = [changed(value)]
        elif isinstance(value, bool):
            others = [not value]
        elif isinstance(value, (int, float)):
            others = [value + 1, value * 2, value // 2 if isinstance(value, int) else value / 2]
        elif isinstance(value, tuple):
            others = [tuple(one * 2 for one in value if isinstance(one, (int, float))), ("-a", "b")]
        else:
            others = [None, False, 1, 1e-5]
        for other in others:
            try:
                config = configuration.from_json(type(config), {**configuration.to_json(config), field.name: configuration.to_json(other)})
                break
            except VqvaeError:
                continue
    return config


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_printed_commands_give_changed_settings(recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = RECIPES[recipe].tokenizer("data")
    config = fitted(changed(default), default)
    assert config != default
    run = stored(tmp_path / "run", config, recipe)
    lines = commands(run).splitlines()
    if lines[0].startswith("vqvae info"):
        (tmp_path / "tokenizer.json").write_text(configuration.dumps(config))
        monkeypatch.chdir(tmp_path)
    assert configuration.essence(read(monkeypatch, lines[-1])[0]) == configuration.essence(config)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, ["--a.b"]),
        (False, ["--a.no-b"]),
        (None, ["--a.b", "None"]),
        ("None", None),
        ((), None),
        (-1e-05, ["--a.b=-1e-05"]),
        ("-x", ["--a.b=-x"]),
        (("-x",), ["--a.b=-x"]),
        (("-x", "y"), None),
        ((-1e-05, 1.0), None),
        ((-1.5, 1.0), ["--a.b", "-1.5", "1.0"]),
    ],
)
def test_values_that_the_command_line_reads_differently(value: Any, words: list[str] | None) -> None:
    assert _flag("a.b", value) == words


def test_a_run_of_a_program_says_so(tmp_path: Path) -> None:
    save(Pipeline(tiny.model().build(), card=RunCard()), tmp_path / "run")
    assert commands(tmp_path / "run").startswith("# Trained by a Python program")
    with pytest.raises(ConfigError, match="level"):
        prior_config(tmp_path / "run", 3)
