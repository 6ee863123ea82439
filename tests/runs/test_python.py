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
class VideoEncoderConfig:
    """Settings of an encoder of videos."""

    def build(self, signal: Signal, dim: int) -> nn.Module:
        return with_config(self, own.PlainEncoder(3, signal.channels, dim, signal.levels))


@dataclass(frozen=True, kw_only=True)
class VideoDecoderConfig:
    """Settings of a decoder of videos."""

    def build(self, dim: int, num_parameters: int) -> nn.Module:
        return with_config(self, own.PlainDecoder(3, num_parameters, dim))


def with_config(config: object, module: nn.Module) -> nn.Module:
    """The module, which can be stored now."""
    module.config = config
    return module


def test_videos_go_through_all_stages(tmp_path: Path) -> None:
    run, known = tmp_path / "run", [VideoEncoderConfig, VideoDecoderConfig]
    videos = np.random.default_rng(0).integers(0, 256, (24, 1, 4, 1, 1), dtype=np.uint8).repeat(4, axis=3).repeat(6, axis=4)
    model = vqvae.VQVAEConfig(
        encoder=VideoEncoderConfig(),
        quantizer=vqvae.EMAQuantizerConfig(dim=4, codebook_size=8),
        decoder=VideoDecoderConfig(),
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
