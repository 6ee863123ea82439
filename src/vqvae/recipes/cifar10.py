"""CIFAR-10: the network of E1, and a smaller one for ten minutes on two cores."""

from vqvae.codes import Level
from vqvae.data import Cifar10Config
from vqvae.quantizers import ProductQuantizerConfig
from vqvae.recipes.base import Recipe, codebook, cosine, narrow, pixelcnn, wide
from vqvae.training import AdamConfig, TrainConfig


def tokenizer(path: str | None) -> TrainConfig:
    """E1 [VQVAE §4.1]: 256 units, 8×8×10 latents as ten codebooks of 512 codes, Adam at 2e-4, 250,000 steps of 128."""
    return TrainConfig(
        model=wide(ProductQuantizerConfig(dim=80, codebook_size=512, num_codebooks=10)),
        data=Cifar10Config(path=path),
        steps=250_000,
        batch_size=128,
        optimizer=AdamConfig(learning_rate=2e-4),
        evaluate_every=5_000,
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A gated PixelCNN over all codebooks of a position, without classes: bits/dim of CIFAR-10 are unconditional."""
    return TrainConfig(
        model=pixelcnn(level, layers=12, hidden=128),
        steps=100_000,
        batch_size=64,
        optimizer=cosine(5e-4, warmup_steps=500),
        evaluate_every=5_000,
    )


def small_tokenizer(path: str | None) -> TrainConfig:
    """One codebook and an eighth of the operations: five minutes on two cores."""
    return TrainConfig(
        model=narrow(codebook()),
        data=Cifar10Config(path=path),
        steps=4_000,
        batch_size=64,
        optimizer=cosine(1e-3),
    )


def small_prior(level: Level, classes: int) -> TrainConfig:
    """A small gated PixelCNN: four minutes on two cores."""
    return TrainConfig(
        model=pixelcnn(level, layers=8, hidden=64, kernel=3),
        steps=5_000,
        batch_size=32,
        optimizer=cosine(2e-3),
    )


RECIPE = Recipe(
    name="cifar10",
    summary="CIFAR-10 to 8×8×10 codes, the paper's network",
    paper="E1 (VQ-VAE)",
    cost="a GPU, or days on 2 cores",
    expected="not measured at full length; the paper has 4.67 bits/dim with the uniform prior",
    tokenizer=tokenizer,
    prior=prior,
)
SMALL = Recipe(
    name="cifar10-small",
    summary="CIFAR-10 to 8×8 codes of one codebook",
    paper="E1, cut down",
    cost="10 minutes on 2 cores",
    expected="docs/results/cifar10-small.md",
    tokenizer=small_tokenizer,
    prior=small_prior,
)
