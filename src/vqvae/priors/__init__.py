"""Distributions over codes."""

from vqvae.priors.base import AutoregressivePrior, Prior, SamplingPrior
from vqvae.priors.masked import MaskedPrior, MaskedPriorConfig
from vqvae.priors.pixelcnn import PixelCNN, PixelCNNConfig
from vqvae.priors.transformer import TransformerPrior, TransformerPriorConfig
from vqvae.priors.uniform import UniformPrior, UniformPriorConfig
from vqvae.priors.unigram import UnigramPrior, UnigramPriorConfig
from vqvae.priors.wavenet import WaveNetConfig, WaveNetPrior
from vqvae.priors.world import WorldPrior, WorldPriorConfig

PriorConfig = (
    UniformPriorConfig | UnigramPriorConfig | PixelCNNConfig | WaveNetConfig | WorldPriorConfig | MaskedPriorConfig | TransformerPriorConfig
)

__all__ = [
    "AutoregressivePrior",
    "MaskedPrior",
    "MaskedPriorConfig",
    "PixelCNN",
    "PixelCNNConfig",
    "Prior",
    "PriorConfig",
    "SamplingPrior",
    "TransformerPrior",
    "TransformerPriorConfig",
    "UniformPrior",
    "UniformPriorConfig",
    "UnigramPrior",
    "UnigramPriorConfig",
    "WaveNetConfig",
    "WaveNetPrior",
    "WorldPrior",
    "WorldPriorConfig",
]
