"""Frames of a three-dimensional world: E4 of [VQVAE §4.2], on ViZDoom where the paper has DeepMind Lab."""

import dataclasses

from vqvae.data import WorldsConfig
from vqvae.likelihoods import GaussianConfig
from vqvae.models import Level, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes.base import Recipe
from vqvae.training import AdamConfig, TrainConfig


def demo_tokenizer(path: str | None) -> TrainConfig:
    """84×84×3 to 21×21 codes, K = 512, narrow enough for three minutes on two cores."""
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=EMAQuantizerConfig(dim=64, codebook_size=512, revive_after=100),
            likelihood=GaussianConfig(channels=3),
            encoder=ImageEncoderConfig(widths=(64, 128), residual_hidden=64),
            decoder=ImageDecoderConfig(widths=(128, 64), residual_hidden=64),
        ),
        data=WorldsConfig(path=path),
        steps=1_800,
        batch_size=16,
        optimizer=AdamConfig(learning_rate=2e-3, schedule="cosine", warmup_steps=50),
        evaluate_every=600,
    )


def demo_prior(level: Level, classes: int) -> TrainConfig:
    """A gated PixelCNN that two cores train in two minutes."""
    return TrainConfig(
        model=PixelCNNConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks, layers=8, hidden=64),
        steps=1_500,
        batch_size=32,
        optimizer=AdamConfig(learning_rate=3e-3, schedule="cosine", warmup_steps=50),
        evaluate_every=500,
    )


def tokenizer(path: str | None) -> TrainConfig:
    """The paper's widths, and as many frames as there are steps for."""
    config = demo_tokenizer(path)
    model = dataclasses.replace(config.model, encoder=ImageEncoderConfig(), decoder=ImageDecoderConfig())
    data = WorldsConfig(path=path, episodes=1000)
    optimizer = AdamConfig(learning_rate=5e-4, schedule="cosine", warmup_steps=500)
    return dataclasses.replace(
        config, model=model, data=data, steps=50_000, batch_size=64, optimizer=optimizer, average_decay=0.999, evaluate_every=2_500
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A deeper and wider gated PixelCNN."""
    config = demo_prior(level, classes)
    model = dataclasses.replace(config.model, layers=16, hidden=128)
    optimizer = AdamConfig(learning_rate=1e-3, schedule="cosine", warmup_steps=500)
    return dataclasses.replace(config, model=model, steps=50_000, batch_size=64, optimizer=optimizer, evaluate_every=2_500)


DEMO = Recipe(
    name="demo",
    summary="84×84 frames of a ViZDoom world to 21×21 codes, and their prior, in minutes",
    paper="E4, short",
    cost="under 8 minutes on 2 cores, rendering included",
    expected="see docs/results/demo.md",
    tokenizer=demo_tokenizer,
    prior=demo_prior,
)
WORLDS = Recipe(
    name="worlds",
    summary="84×84 frames of a ViZDoom world to 21×21 codes, at the paper's widths",
    paper="E4",
    cost="a GPU, or days on 2 cores",
    expected="not measured yet at full length; --scale cpu of 'vqvae reproduce e4' is in docs/results/e4.md",
    tokenizer=tokenizer,
    prior=prior,
)
