"""Distributions over codes."""

from vqvae.priors.base import AutoregressivePrior, Prior
from vqvae.priors.pixelcnn import PixelCNN, PixelCNNConfig
from vqvae.priors.uniform import UniformPrior, UniformPriorConfig
from vqvae.priors.unigram import UnigramPrior, UnigramPriorConfig
from vqvae.priors.wavenet import WaveNetConfig, WaveNetPrior

PriorConfig = UniformPriorConfig | UnigramPriorConfig | PixelCNNConfig | WaveNetConfig

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
]
