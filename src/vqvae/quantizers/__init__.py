"""Latents to codes and back."""

from vqvae.quantizers.base import CodebookQuantizer, Quantized, Quantizer
from vqvae.quantizers.ema import EMAQuantizer, EMAQuantizerConfig
from vqvae.quantizers.fsq import FSQ, FSQConfig
from vqvae.quantizers.identity import IdentityQuantizer, IdentityQuantizerConfig
from vqvae.quantizers.product import ProductQuantizer, ProductQuantizerConfig
from vqvae.quantizers.residual import ResidualQuantizer, ResidualQuantizerConfig
from vqvae.quantizers.vector import VectorQuantizer, VectorQuantizerConfig

QuantizerConfig = (
    VectorQuantizerConfig | EMAQuantizerConfig | ProductQuantizerConfig | ResidualQuantizerConfig | FSQConfig | IdentityQuantizerConfig
)

__all__ = [
    "FSQ",
    "CodebookQuantizer",
    "EMAQuantizer",
    "EMAQuantizerConfig",
    "FSQConfig",
    "IdentityQuantizer",
    "IdentityQuantizerConfig",
    "ProductQuantizer",
    "ProductQuantizerConfig",
    "Quantized",
    "Quantizer",
    "QuantizerConfig",
    "ResidualQuantizer",
    "ResidualQuantizerConfig",
    "VectorQuantizer",
    "VectorQuantizerConfig",
]
