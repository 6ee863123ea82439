"""Photographs at 128×128: E2 and E3 of [VQVAE §4.2]."""

import dataclasses

from vqvae.data import ImageFolderConfig
from vqvae.errors import ConfigError
from vqvae.likelihoods import GaussianConfig
from vqvae.models import Level, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes.base import Recipe
from vqvae.training import AdamConfig, TrainConfig


def tokenizer(path: str | None) -> TrainConfig:
    """128×128×3 to 32×32 codes, K = 512: 42.6 times fewer bits."""
    if path is None:
        raise ConfigError("The recipe 'imagenet128' needs photographs with a sub-folder for each class (train/ and val/): --data FOLDER")
    return TrainConfig(
        model=VQVAEConfig(quantizer=EMAQuantizerConfig(dim=64, codebook_size=512, revive_after=100), likelihood=GaussianConfig(channels=3)),
        data=ImageFolderConfig(path=path, size=128, classes=True, mirror=True),
        steps=250_000,
        batch_size=128,
        optimizer=AdamConfig(learning_rate=2e-4),
        evaluate_every=5_000,
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A class-conditional gated PixelCNN of about the capacity of its paper's [arXiv 1606.05328]."""
    return TrainConfig(
        model=PixelCNNConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks, classes=classes, layers=20, hidden=256),
        steps=200_000,
        batch_size=128,
        optimizer=AdamConfig(learning_rate=3e-4, schedule="cosine", warmup_steps=1_000),
        average_decay=0.999,
        evaluate_every=5_000,
    )


def cpu_tokenizer(path: str | None) -> TrainConfig:
    """Cut down to half an hour of one core: narrower, and 3,000 steps of 16."""
    config = tokenizer(path)
    model = dataclasses.replace(
        config.model,
        encoder=ImageEncoderConfig(widths=(64, 128), residual_hidden=64),
        decoder=ImageDecoderConfig(widths=(128, 64), residual_hidden=64),
    )
    optimizer = AdamConfig(learning_rate=1e-3, schedule="cosine", warmup_steps=100)
    return dataclasses.replace(config, model=model, steps=3_000, batch_size=16, optimizer=optimizer, evaluate_every=500)


def cpu_prior(level: Level, classes: int) -> TrainConfig:
    """Cut down to a quarter of an hour of two cores."""
    config = prior(level, classes)
    model = dataclasses.replace(config.model, layers=10, hidden=64)
    optimizer = AdamConfig(learning_rate=2e-3, schedule="cosine", warmup_steps=100)
    return dataclasses.replace(config, model=model, steps=3_000, batch_size=16, optimizer=optimizer, average_decay=0.99, evaluate_every=500)


RECIPE = Recipe(
    name="imagenet128",
    summary="128×128 photographs to 32×32 codes, with a class-conditional prior",
    paper="E2, E3",
    cost="a GPU and days; 'vqvae reproduce e2' cuts it to minutes of 2 cores",
    expected="see docs/results/e2.md and docs/results/e3.md",
    tokenizer=tokenizer,
    prior=prior,
)
