"""The definition of a recipe, and the settings that most recipes share."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vqvae.codes import Level
from vqvae.data import ImageFolderConfig, ImageShardsConfig
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig, ProductQuantizerConfig, QuantizerConfig
from vqvae.training import AdamConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Complete settings for one data set: a tokenizer and the prior over its codes. Users can override every field of both."""

    name: str
    """The name on the command line."""
    summary: str
    """The data and the codes, in one line."""
    paper: str
    """The experiment in [VQVAE §4] that it follows."""
    cost: str
    """The time and the hardware that it needs."""
    expected: str
    """Measured results."""
    tokenizer: Callable[..., TrainConfig]
    """Returns the settings of the first stage, given the path of the data and the settings named in ``looks_at``. Without a path, the data
    is generated or downloaded."""
    prior: Callable[[Level, int], TrainConfig]
    """Returns the settings of the second stage, given the shape of the codes and the number of classes (0: none)."""
    sized: Callable[[TrainConfig, int], TrainConfig] | None = None
    """Adapts the settings of the second stage to the number of codes. None if they do not depend on it."""
    tokenizer_share: float = 0.6
    """The tokenizer's share of a time limit, if a prior follows."""
    looks_at: tuple[str, ...] = ()
    """Settings of the data that affect other settings. ``tokenizer`` gets them together with the path."""
    command: str = ""
    """The command that runs both stages, if it is not ``vqvae train``."""


def codebook(revive_after: int = 100, *, decay: float = 0.99, commitment_cost: float = 0.25) -> EMAQuantizerConfig:
    """The paper's codebook: K = 512, updated by running means. A code that is unused for ``revive_after`` steps is replaced."""
    return EMAQuantizerConfig(dim=64, codebook_size=512, revive_after=revive_after, decay=decay, commitment_cost=commitment_cost)


def narrow(quantizer: QuantizerConfig, likelihood: GaussianConfig = GaussianConfig(channels=3)) -> VQVAEConfig:
    """The paper's network with an eighth of the operations, for CPUs: 64 and 128 units, 64 in the residual blocks."""
    return VQVAEConfig(
        quantizer=quantizer,
        likelihood=likelihood,
        encoder=ImageEncoderConfig(widths=(64, 128), residual_hidden=64),
        decoder=ImageDecoderConfig(widths=(128, 64), residual_hidden=64),
    )


def fitted(config: TrainConfig, default: TrainConfig) -> TrainConfig:
    """The settings with a likelihood that has the channels and levels of the data.

    Args:
        config: the user's settings.
        default: the settings that the user started from. If the likelihoods of the two differ, the user's is kept.
    """
    data, likelihood = config.data, getattr(config.model, "likelihood", None)
    if (
        not isinstance(data, ImageFolderConfig | ImageShardsConfig)
        or not dataclasses.is_dataclass(likelihood)
        or isinstance(likelihood, type)
    ):
        return config
    before = getattr(default.model, "likelihood", None)
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(likelihood):
        unset = getattr(before, field.name) if type(before) is type(likelihood) else field.default
        if field.name in ("channels", "levels") and getattr(likelihood, field.name) == unset:
            changes[field.name] = getattr(data, field.name)
    model: Any = config.model
    return dataclasses.replace(config, model=dataclasses.replace(model, likelihood=dataclasses.replace(likelihood, **changes)))


def even(width: int) -> dict[str, Any]:
    """An encoder and a decoder with ``width`` channels in every hidden layer, as in the paper."""
    network = {"widths": (width, width), "residual_hidden": width}
    return {"encoder": ImageEncoderConfig(**network), "decoder": ImageDecoderConfig(**network)}


def codebooks(count: int, size: int = 512) -> ProductQuantizerConfig:
    """Several codes at each position. Each has eight channels and its own codebook, updated by running means."""
    return ProductQuantizerConfig(dim=8 * count, codebook_size=size, num_codebooks=count, revive_after=100)


def wide(quantizer: QuantizerConfig) -> VQVAEConfig:
    """The paper's network: 256 units everywhere [VQVAE §4.1]."""
    return VQVAEConfig(quantizer=quantizer, likelihood=GaussianConfig(channels=3))


def pixelcnn(level: Level, *, layers: int, hidden: int, kernel: int = 5, classes: int = 0) -> PixelCNNConfig:
    """A gated PixelCNN over one level of a tokenizer's codes."""
    return PixelCNNConfig(
        codebook_size=level.codebook_size,
        num_codebooks=level.num_codebooks,
        classes=classes,
        layers=layers,
        hidden=hidden,
        kernel=kernel,
    )


def cosine(learning_rate: float, warmup_steps: int = 100) -> AdamConfig:
    """Adam with a short warm-up, then half a cosine down to a learning rate of zero. This suits a fixed number of steps."""
    return AdamConfig(learning_rate=learning_rate, schedule="cosine", warmup_steps=warmup_steps)
