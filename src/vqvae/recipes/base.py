"""What a recipe is, and what most of them are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vqvae.codes import Level
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig, ProductQuantizerConfig, QuantizerConfig
from vqvae.training import AdamConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Complete settings for one data set: a tokenizer and the prior over its codes. Every field of both can be overridden."""

    name: str
    """What users call it."""
    summary: str
    """What it trains, in a line."""
    paper: str
    """The experiment of [VQVAE §4] that it follows."""
    cost: str
    """What it takes."""
    expected: str
    """What it reached where it was measured."""
    tokenizer: Callable[..., TrainConfig]
    """The first stage's settings, for data at a path (None: rendered or downloaded on the spot), and for ``looks_at`` as words."""
    prior: Callable[[Level, int], TrainConfig]
    """The second stage's settings, for the shape of the codes and the number of classes of the data (0: none)."""
    sized: Callable[[TrainConfig, int], TrainConfig] | None = None
    """The second stage's settings changed to match the number of codes that it learns from; None if they are the same for any number."""
    looks_at: tuple[str, ...] = ()
    """Settings of the data that decide on other settings, so that ``tokenizer`` takes them beside the path."""
    command: str = ""
    """What carries out both stages, where there is more than ``vqvae train`` and ``vqvae train-prior``."""


def codebook(revive_after: int = 100) -> EMAQuantizerConfig:
    """The paper's K = 512 by running means; codes that no latent takes for so many steps are drawn anew."""
    return EMAQuantizerConfig(dim=64, codebook_size=512, revive_after=revive_after)


def narrow(quantizer: QuantizerConfig) -> VQVAEConfig:
    """The paper's network at an eighth of its operations, for a CPU: 64 and 128 units, 64 in the residual blocks."""
    return VQVAEConfig(
        quantizer=quantizer,
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(widths=(64, 128), residual_hidden=64),
        decoder=ImageDecoderConfig(widths=(128, 64), residual_hidden=64),
    )


def even(width: int) -> dict[str, Any]:
    """An encoder and a decoder with as many channels in every hidden layer, as in the paper, and as few as one likes."""
    network = {"widths": (width, width), "residual_hidden": width}
    return {"encoder": ImageEncoderConfig(**network), "decoder": ImageDecoderConfig(**network)}


def codebooks(count: int, size: int = 512) -> ProductQuantizerConfig:
    """Several codes at each position, each of eight channels and of its own codebook of running means."""
    return ProductQuantizerConfig(dim=8 * count, codebook_size=size, num_codebooks=count, revive_after=100)


def wide(quantizer: QuantizerConfig) -> VQVAEConfig:
    """The paper's network: 256 units everywhere [VQVAE §4.1]."""
    return VQVAEConfig(quantizer=quantizer, likelihood=GaussianConfig(channels=3))


def pixelcnn(level: Level, *, layers: int, hidden: int, kernel: int = 5, classes: int = 0) -> PixelCNNConfig:
    """A gated PixelCNN that fits a tokenizer."""
    return PixelCNNConfig(
        codebook_size=level.codebook_size,
        num_codebooks=level.num_codebooks,
        classes=classes,
        layers=layers,
        hidden=hidden,
        kernel=kernel,
    )


def cosine(learning_rate: float, warmup_steps: int = 100) -> AdamConfig:
    """Adam with a short warm-up and half a cosine down to zero: what a run of fixed length gets most out of."""
    return AdamConfig(learning_rate=learning_rate, schedule="cosine", warmup_steps=warmup_steps)
