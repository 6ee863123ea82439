"""Photographs at 128×128: E2 and E3 of [VQVAE §4.2]."""

from vqvae.codes import Level
from vqvae.data import ImageFolderConfig
from vqvae.errors import ConfigError
from vqvae.recipes.base import Recipe, codebook, cosine, narrow, pixelcnn, wide
from vqvae.training import AdamConfig, TrainConfig


def tokenizer(path: str | None) -> TrainConfig:
    """128×128×3 to 32×32 codes, K = 512: 42.7 times fewer bits."""
    return TrainConfig(
        model=wide(codebook()),
        data=_photographs(path),
        steps=250_000,
        batch_size=128,
        optimizer=AdamConfig(learning_rate=2e-4),
        evaluate_every=5_000,
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A class-conditional gated PixelCNN with about the capacity of the one in [arXiv 1606.05328]."""
    return TrainConfig(
        model=pixelcnn(level, layers=20, hidden=256, classes=classes),
        steps=200_000,
        batch_size=128,
        optimizer=cosine(3e-4, warmup_steps=1_000),
        average_decay=0.999,
        evaluate_every=5_000,
    )


def cpu_tokenizer(path: str | None) -> TrainConfig:
    """A smaller version for half an hour on one core: narrower, with 2,500 steps of 16."""
    return TrainConfig(
        model=narrow(codebook()), data=_photographs(path), steps=2_500, batch_size=16, optimizer=cosine(1e-3), evaluate_every=500
    )


def cpu_prior(level: Level, classes: int) -> TrainConfig:
    """A smaller version for a quarter of an hour on one core."""
    return TrainConfig(
        model=pixelcnn(level, layers=6, hidden=64, kernel=3, classes=classes),
        steps=2_500,
        batch_size=8,
        optimizer=cosine(4e-3),
        evaluate_every=500,
    )


def _photographs(path: str | None) -> ImageFolderConfig:
    if path is None:
        raise ConfigError("Photographs in folders train/CLASS/ and val/CLASS/ are needed. Give the folder with both: --data FOLDER")
    return ImageFolderConfig(path=path, size=128, classes=True, mirror=True)


RECIPE = Recipe(
    name="imagenet128",
    summary="128×128 photographs to 32×32 codes, with a class-conditional prior",
    paper="E2, E3",
    cost="a GPU and days; 'vqvae reproduce e3' takes an hour of one core for both stages",
    expected="not measured at full length; docs/results/e2.md and e3.md have results at CPU scale",
    tokenizer=tokenizer,
    prior=prior,
)
