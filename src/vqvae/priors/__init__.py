"""Distributions over codes."""

from vqvae.priors.base import AutoregressivePrior, Prior
from vqvae.priors.pixelcnn import PixelCNN, PixelCNNConfig
from vqvae.priors.uniform import UniformPrior, UniformPriorConfig
from vqvae.priors.unigram import UnigramPrior, UnigramPriorConfig
from vqvae.priors.wavenet import WaveNetConfig, WaveNetPrior
from vqvae.priors.world import WorldPrior, WorldPriorConfig

PriorConfig = UniformPriorConfig | UnigramPriorConfig | PixelCNNConfig | WaveNetConfig | WorldPriorConfig

__all__ = [
    "AutoregressivePrior",
    "PixelCNN",
    "PixelCNNConfig",
    "Prior",
    "PriorConfig",
    "UniformPrior",
    "UniformPriorConfig",
    "UnigramPrior",
    "UnigramPriorConfig",
    "WaveNetConfig",
    "WaveNetPrior",
    "WorldPrior",
    "WorldPriorConfig",
]
