"""Frames of a three-dimensional world: E4 of [VQVAE §4.2], with ViZDoom instead of the paper's DeepMind Lab."""

from vqvae.codes import Level
from vqvae.data import WorldsConfig
from vqvae.recipes.base import Recipe, codebook, cosine, narrow, pixelcnn, wide
from vqvae.training import TrainConfig


def demo_tokenizer(path: str | None) -> TrainConfig:
    """84×84×3 to 21×21 codes, K = 512, in three minutes on two cores. In this time, many small batches train it best."""
    return TrainConfig(
        model=narrow(codebook(revive_after=50)),
        data=WorldsConfig(path=path),
        steps=2_500,
        batch_size=8,
        optimizer=cosine(1.5e-3, warmup_steps=50),
        evaluate_every=1_250,
    )


def demo_prior(level: Level, classes: int) -> TrainConfig:
    """A gated PixelCNN for three minutes on two cores. Narrow filters and small batches use this time best: half the operations per code,
    and four times the steps."""
    return TrainConfig(
        model=pixelcnn(level, layers=6, hidden=64, kernel=3),
        steps=2_700,
        batch_size=8,
        optimizer=cosine(5e-3, warmup_steps=50),
        evaluate_every=1_350,
    )


def tokenizer(path: str | None) -> TrainConfig:
    """The paper's widths, and ten times as many frames."""
    return TrainConfig(
        model=wide(codebook()),
        data=WorldsConfig(path=path, episodes=1000),
        steps=50_000,
        batch_size=64,
        optimizer=cosine(5e-4, warmup_steps=500),
        average_decay=0.999,
        evaluate_every=2_500,
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A deeper and wider gated PixelCNN."""
    return TrainConfig(
        model=pixelcnn(level, layers=16, hidden=128),
        steps=50_000,
        batch_size=64,
        optimizer=cosine(1e-3, warmup_steps=500),
        average_decay=0.999,
        evaluate_every=2_500,
    )


DEMO = Recipe(
    name="demo",
    summary="84×84 frames of a ViZDoom world to 21×21 codes, and their prior, in minutes",
    paper="E4, short",
    cost="under 8 minutes on 2 cores, rendering included",
    expected="docs/results/demo.md",
    tokenizer=demo_tokenizer,
    prior=demo_prior,
    command="vqvae demo",
)
WORLDS = Recipe(
    name="worlds",
    summary="84×84 frames of a ViZDoom world to 21×21 codes, at the paper's widths",
    paper="E4",
    cost="a GPU, or days on 2 cores",
    expected="not measured at full length; docs/results/e4.md has results at CPU scale",
    tokenizer=tokenizer,
    prior=prior,
)
