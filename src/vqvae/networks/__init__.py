"""Encoders and decoders, one file a modality."""

from vqvae.networks.base import AutoregressiveDecoder, Decoder, Encoder
from vqvae.networks.codes import CodesDecoder, CodesDecoderConfig, CodesEncoder, CodesEncoderConfig
from vqvae.networks.image import ImageDecoder, ImageDecoderConfig, ImageEncoder, ImageEncoderConfig

EncoderConfig = ImageEncoderConfig | CodesEncoderConfig
DecoderConfig = ImageDecoderConfig | CodesDecoderConfig

__all__ = [
    "AutoregressiveDecoder",
    "CodesDecoder",
    "CodesDecoderConfig",
    "CodesEncoder",
    "CodesEncoderConfig",
    "Decoder",
    "DecoderConfig",
    "Encoder",
    "EncoderConfig",
    "ImageDecoder",
    "ImageDecoderConfig",
    "ImageEncoder",
    "ImageEncoderConfig",
]
