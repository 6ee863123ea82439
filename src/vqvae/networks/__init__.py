"""Encoders and decoders, one file a modality."""

from vqvae.networks.base import Decoder, Encoder
from vqvae.networks.image import ImageDecoder, ImageDecoderConfig, ImageEncoder, ImageEncoderConfig

EncoderConfig = ImageEncoderConfig
DecoderConfig = ImageDecoderConfig

__all__ = [
    "Decoder",
    "DecoderConfig",
    "Encoder",
    "EncoderConfig",
    "ImageDecoder",
    "ImageDecoderConfig",
    "ImageEncoder",
    "ImageEncoderConfig",
]
