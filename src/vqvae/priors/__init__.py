"""Distributions over codes."""

from vqvae.priors.base import AutoregressivePrior, Prior
from vqvae.priors.pixelcnn import PixelCNN, PixelCNNConfig
from vqvae.priors.uniform import UniformPrior, UniformPriorConfig
from vqvae.priors.unigram import UnigramPrior, UnigramPriorConfig

PriorConfig = UniformPriorConfig | UnigramPriorConfig | PixelCNNConfig

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
]
