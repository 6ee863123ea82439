"""Models that turn data into latents."""

from vqvae.models.base import Bound, LatentModel, Reconstruction, Tokenizer
from vqvae.models.frames import FrameTokenizer, FrameTokenizerConfig
from vqvae.models.gumbel import GumbelSoftmax, GumbelSoftmaxConfig
from vqvae.models.vae import VAE, VAEConfig
from vqvae.models.vimco import VIMCO, VIMCOConfig
from vqvae.models.vqvae import VQVAE, VQVAEConfig, WeightedConfig

ModelConfig = VQVAEConfig | VAEConfig | VIMCOConfig | GumbelSoftmaxConfig | FrameTokenizerConfig

__all__ = [
    "VAE",
    "VIMCO",
    "VQVAE",
    "Bound",
    "FrameTokenizer",
    "FrameTokenizerConfig",
    "GumbelSoftmax",
    "GumbelSoftmaxConfig",
    "LatentModel",
    "ModelConfig",
    "Reconstruction",
    "Tokenizer",
    "VAEConfig",
    "VIMCOConfig",
    "VQVAEConfig",
    "WeightedConfig",
]
