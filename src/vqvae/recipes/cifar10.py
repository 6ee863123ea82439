"""CIFAR-10: E1's network with latents of one codebook, whole and cut down to ten minutes of two cores."""

import dataclasses

from vqvae.data import Cifar10Config
from vqvae.likelihoods import GaussianConfig
from vqvae.models import Level, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig, ProductQuantizerConfig
from vqvae.recipes.base import Recipe
from vqvae.training import AdamConfig, TrainConfig


def tokenizer(path: str | None) -> TrainConfig:
    """E1 [VQVAE §4.1]: 256 units, 8×8×10 latents as ten codebooks of 512 codes, Adam at 2e-4, 250,000 steps of 128."""
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=ProductQuantizerConfig(dim=80, codebook_size=512, num_codebooks=10),
            likelihood=GaussianConfig(channels=3),
            encoder=ImageEncoderConfig(),
            decoder=ImageDecoderConfig(),
        ),
        data=Cifar10Config(path=path),
        steps=250_000,
        batch_size=128,
        optimizer=AdamConfig(learning_rate=2e-4),
        evaluate_every=5_000,
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A gated PixelCNN over all codebooks of a position, without classes: bits/dim of CIFAR-10 are unconditional."""
    return TrainConfig(
        model=PixelCNNConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks, layers=12, hidden=128),
        steps=100_000,
        batch_size=64,
        optimizer=AdamConfig(learning_rate=5e-4, schedule="cosine", warmup_steps=500),
        evaluate_every=5_000,
    )


def small_tokenizer(path: str | None) -> TrainConfig:
    """One codebook, 64 to 128 units, six minutes of two cores."""
    config = tokenizer(path)
    model = dataclasses.replace(
        config.model,
        quantizer=EMAQuantizerConfig(dim=64, codebook_size=512, revive_after=200),
        encoder=ImageEncoderConfig(widths=(64, 128), residual_hidden=64),
        decoder=ImageDecoderConfig(widths=(128, 64), residual_hidden=64),
    )
    optimizer = AdamConfig(learning_rate=1e-3, schedule="cosine", warmup_steps=100)
    return dataclasses.replace(config, model=model, steps=6_000, batch_size=64, optimizer=optimizer, evaluate_every=1_000)


def small_prior(level: Level, classes: int) -> TrainConfig:
    """Four minutes of two cores."""
    config = prior(level, classes)
    model = dataclasses.replace(config.model, layers=8, hidden=64)
    optimizer = AdamConfig(learning_rate=2e-3, schedule="cosine", warmup_steps=100)
    return dataclasses.replace(config, model=model, steps=6_000, batch_size=64, optimizer=optimizer, evaluate_every=1_000)


RECIPE = Recipe(
    name="cifar10",
    summary="CIFAR-10 to 8×8×10 codes, the paper's network",
    paper="E1 (VQ-VAE)",
    cost="a GPU, or days on 2 cores",
    expected="the paper: 4.67 bits/dim with the uniform prior",
    tokenizer=tokenizer,
    prior=prior,
)
SMALL = Recipe(
    name="cifar10-small",
    summary="CIFAR-10 to 8×8 codes, narrow",
    paper="E1, cut down",
    cost="10 minutes on 2 cores",
    expected="see docs/results/cifar10-small.md",
    tokenizer=small_tokenizer,
    prior=small_prior,
)
