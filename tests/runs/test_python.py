"""The stages as functions: every kind of model and of codes from data to scores and samples, and back from the disk."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import vqvae
from tests.models import own, toy
from tests.training import tiny
from vqvae import storage
from vqvae.errors import CheckpointError, ConfigError, DataError
from vqvae.models import GumbelSoftmaxConfig, VIMCOConfig
from vqvae.priors import PixelCNNConfig
from vqvae.runs.stages import train_part
from vqvae.signals import AXES, Signal
from vqvae.training import JointConfig, RunOptions

OPTIONS = RunOptions(device="cpu", threads=1, log_every=2, checkpoint_every=4)
STEPS = 4


def pictures(count: int = 40) -> np.ndarray:
    """Pictures whose left and right halves have one colour each."""
    colours = np.random.default_rng(0).integers(0, 256, (count, 3, 1, 2), dtype=np.uint8)
    return colours.repeat(8, axis=2).repeat(4, axis=3)


def same(a: vqvae.Pipeline, b: vqvae.Pipeline) -> bool:
    """Whether two pipelines have the same weights."""
    return all(
        torch.equal(value, other.state_dict()[name])
        for one, other in zip((a.tokenizer, *a.priors), (b.tokenizer, *b.priors), strict=True)
        for name, value in one.state_dict().items()
    )


@pytest.mark.parametrize("kind", [GumbelSoftmaxConfig, VIMCOConfig])
def test_models_with_drawn_codes_go_through_all_stages(kind: type, tmp_path: Path) -> None:
    parts = tiny.model()
    model = kind(codebook_size=8, dim=4, likelihood=parts.likelihood, encoder=parts.encoder, decoder=parts.decoder)
    vqvae.train(model, pictures(), tmp_path / "run", steps=STEPS, batch_size=4, options=OPTIONS, scored=False)
    trained = vqvae.train_prior(tmp_path / "run", data=pictures(), steps=STEPS, batch_size=4, options=OPTIONS)
    scores = vqvae.evaluate(tmp_path / "run", pictures(), options=OPTIONS)
    assert 0 < scores["bits_per_dim_learned"] < 20 and scores["codes_used"] > 0
    drawn = trained.sample(3)
    again = vqvae.load(tmp_path / "run")
    assert drawn.shape == (3, 3, 8, 8) and torch.equal(again.sample(3), drawn) and same(again, trained)


def test_a_tokenizer_and_its_prior_that_learned_together_are_scored_and_trained_on(tmp_path: Path) -> None:
    splits = tiny.splits()
    size = tiny.model(codebook_size=8)
    joint = JointConfig(tokenizer=size, prior=PixelCNNConfig(codebook_size=8, layers=1, hidden=4), alone_steps=2, anneal_steps=2)
    module = train_part(tiny.settings(model=joint, steps=STEPS), splits, OPTIONS, tmp_path, "joint", recipe="")
    learned = vqvae.Pipeline(module.tokenizer, (module.prior,), signal=splits.train.signal)
    vqvae.save(learned, tmp_path / "run")
    stored = vqvae.load(tmp_path / "run")
    assert same(stored, learned) and torch.equal(stored.sample(2, size=(8, 8)), learned.sample(2, size=(8, 8)))
    scores = vqvae.evaluate(tmp_path / "run", splits, options=OPTIONS)
    assert scores["bits_per_dim_learned"] == vqvae.evaluate(tmp_path / "run", splits, options=OPTIONS)["bits_per_dim_learned"] > 0


def test_what_is_saved_can_be_evaluated_like_what_was_trained(tmp_path: Path) -> None:
    trained = vqvae.train(tiny.model(), pictures(), tmp_path / "run", steps=STEPS, batch_size=4, options=OPTIONS)
    vqvae.save(trained, tmp_path / "copy")
    scores = {name: vqvae.evaluate(tmp_path / name, pictures(), options=OPTIONS) for name in ("run", "copy")}
    for found in scores.values():
        del found["seconds"], found["seconds_by_stage"]
    assert {name: scores["run"][name] for name in scores["copy"]} == scores["copy"]
    assert vqvae.load(tmp_path / "copy").card == vqvae.load(tmp_path / "run").card


def test_two_levels_of_codes_go_through_all_stages(tmp_path: Path) -> None:
    run, known = tmp_path / "run", [toy.TwoLevelsConfig]
    trained = vqvae.train(toy.TwoLevelsConfig(), pictures(), run, steps=STEPS, batch_size=4, options=OPTIONS)
    assert [codes.shape for codes in trained.encode(torch.from_numpy(pictures(2)))] == [(2, 1, 2, 2), (2, 2, 4, 4)]
    for level in (0, 1):
        trained = vqvae.train_prior(
            run, level=level, data=pictures(), steps=STEPS, batch_size=4, options=OPTIONS, scored=level == 1, parts=known
        )
    assert {"tokenizer", "prior", "prior-1"} <= {path.name for path in run.iterdir()}
    scores = vqvae.evaluate(run, pictures(), options=OPTIONS, parts=known)
    assert 0 < scores["bits_per_dim_learned"] < 20
    again = vqvae.load(run, parts=known)
    drawn = again.sample(2)
    assert drawn.shape == (2, 3, 8, 8) and torch.equal(drawn, trained.sample(2)) and same(again, trained)
    vqvae.save(again, tmp_path / "copy")
    assert torch.equal(vqvae.load(tmp_path / "copy", parts=known).sample(2), drawn)


@dataclass(frozen=True, kw_only=True)
class FilmEncoderConfig:
    """Settings of an encoder of videos."""

    def build(self, signal: Signal, dim: int) -> nn.Module:
        return with_config(self, own.PlainEncoder(3, signal.channels, dim, signal.levels))


@dataclass(frozen=True, kw_only=True)
class FilmDecoderConfig:
    """Settings of a decoder of videos."""

    def build(self, dim: int, num_parameters: int) -> nn.Module:
        return with_config(self, own.PlainDecoder(3, num_parameters, dim))


def with_config(config: object, module: nn.Module) -> nn.Module:
    """The module, which can be stored now."""
    module.config = config
    return module


def test_videos_go_through_all_stages(tmp_path: Path) -> None:
    run, known = tmp_path / "run", [FilmEncoderConfig, FilmDecoderConfig]
    videos = np.random.default_rng(0).integers(0, 256, (24, 1, 4, 1, 1), dtype=np.uint8).repeat(4, axis=3).repeat(6, axis=4)
    model = vqvae.VQVAEConfig(
        encoder=FilmEncoderConfig(),
        quantizer=vqvae.EMAQuantizerConfig(dim=4, codebook_size=8),
        decoder=FilmDecoderConfig(),
        likelihood=vqvae.GaussianConfig(channels=1),
    )
    signal = Signal(axes=AXES[3], channels=1, levels=256)
    trained = vqvae.train(model, videos, run, steps=STEPS, batch_size=4, signal=signal, options=OPTIONS)
    assert trained.signal == signal
    trained = vqvae.train_prior(run, data=videos, steps=STEPS, batch_size=4, options=OPTIONS, parts=known)
    scores = vqvae.evaluate(run, videos, options=OPTIONS, parts=known)
    assert 0 < scores["bits_per_dim_learned"] < 20
    again = vqvae.load(run, parts=known)
    drawn = again.sample(2)
    assert drawn.shape == (2, 1, 4, 4, 6) and drawn.dtype == torch.uint8 and torch.equal(drawn, trained.sample(2))
    codes = again.encode(torch.from_numpy(videos[:2]))
    assert codes.shape == (2, 1, 2, 2, 3) and again.decode(codes).shape == (2, 1, 4, 4, 6)


def test_a_run_goes_on_with_its_own_data_alone(tmp_path: Path) -> None:
    run, x = tmp_path / "run", pictures()
    how = {"steps": STEPS, "batch_size": 4, "options": OPTIONS, "scored": False}
    first = vqvae.train(tiny.model(), x, run, **how)
    before = tiny.contents(run)
    with pytest.raises(ConfigError, match="training data: array-.*-train -> array-.*-train"):
        vqvae.train(tiny.model(), 255 - x, run, **how)
    assert tiny.contents(run) == before and same(vqvae.train(tiny.model(), x, run, **how), first)


def test_what_is_saved_is_mixed_with_nothing(tmp_path: Path) -> None:
    parts = {"tokenizer": tiny.model().build(), "signal": tiny.splits().train.signal}
    prior = PixelCNNConfig(codebook_size=8, layers=1, hidden=4).build()
    vqvae.save(vqvae.Pipeline(prior=prior, **parts), tmp_path / "run")
    with pytest.raises(ConfigError, match=r"contains \['prior'\], which this pipeline lacks"):
        vqvae.save(vqvae.Pipeline(**parts), tmp_path / "run")
    for name in ("thesis.tex", "tokenizer/config.json"):
        mine = tmp_path / name.replace("/", "-") / name
        mine.parent.mkdir(parents=True)
        mine.write_text("mine")
        with pytest.raises(ConfigError, match="and is not a run. Choose another folder"):
            vqvae.save(vqvae.Pipeline(**parts), tmp_path / name.replace("/", "-"))
        assert mine.read_text() == "mine"
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "config.json").write_text("mine")
    with pytest.raises(CheckpointError, match="was not written by vqvae"):
        storage.save(prior, tmp_path / "part")
    assert (tmp_path / "part" / "config.json").read_text() == "mine"


def test_scores_are_of_what_is_given(tmp_path: Path) -> None:
    signal = Signal(axes=("time",), channels=1, levels=512)
    x = np.random.default_rng(0).integers(0, 16, (40, 1, 8))
    model = vqvae.VQVAEConfig(
        encoder=ScaledEncoderConfig(),
        quantizer=vqvae.EMAQuantizerConfig(dim=4, codebook_size=8),
        decoder=own.OwnDecoderConfig(),
        likelihood=vqvae.CategoricalConfig(channels=1, levels=512),
    )
    run, known = tmp_path / "run", [ScaledEncoderConfig, own.OwnDecoderConfig]
    vqvae.train(model, x, run, steps=2, batch_size=4, signal=signal, options=OPTIONS, scored=False)
    assert vqvae.evaluate(run, held_out=x[:30], options=OPTIONS, parts=known)["examples"] == 30
    assert vqvae.evaluate(run, x, options=OPTIONS, parts=known)["examples"] < 10
    how = {"steps": 1, "batch_size": 4, "options": OPTIONS, "parts": known}
    with pytest.raises(ConfigError, match=r"Pass the data again: vqvae.train_prior\(run, data=...\)"):
        vqvae.train_prior(run, **how)
    with pytest.raises(ConfigError, match="level is 1; .* has 1"):
        vqvae.train_prior(run, level=1, scored=False, **how)
    with pytest.raises(DataError, match="from 600 to 600"):
        vqvae.evaluate(run, x * 0 + 600, options=OPTIONS, parts=known)
    assert not (run / "prior").exists()


@dataclass(frozen=True, kw_only=True)
class ScaledEncoderConfig:
    """Settings of an encoder that scales its levels."""

    def build(self, signal: Signal, dim: int) -> nn.Module:
        return with_config(self, own.PlainEncoder(1, signal.channels, dim, signal.levels))


def test_a_configuration_that_does_not_describe_its_module_is_refused_before_the_training(tmp_path: Path) -> None:
    signal = Signal(axes=("time",), channels=2)
    encoder = own.OwnEncoder(own.OwnEncoderConfig(width=6), signal, own.DIM)
    encoder.config = own.OwnEncoderConfig()
    criterion = vqvae.GaussianDensityConfig(channels=2).build()
    decoder = own.OwnDecoder(own.OwnDecoderConfig(), own.DIM, criterion.num_parameters)
    model = vqvae.VQVAE(encoder=encoder, quantizer=own.quantizer(), decoder=decoder, criterion=criterion)
    with pytest.raises(ConfigError, match=r"its configuration builds encoder.layers.0.bias as .*Keep in self.config"):
        vqvae.train(model, own.data(40, 2, 8), tmp_path / "run", steps=1, options=OPTIONS)
    assert not (tmp_path / "run").exists()


def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    pipeline = vqvae.Pipeline(tiny.model().build(), signal=tiny.splits().train.signal)
    vqvae.save(pipeline, "~/run")
    assert (tmp_path / "run" / "tokenizer").is_dir() and same(vqvae.load("~/run"), pipeline)
