"""Encoders and decoders, one file per modality."""

from vqvae.networks.arrays import ArrayDecoder, ArrayDecoderConfig, ArrayEncoder, ArrayEncoderConfig
from vqvae.networks.audio import AudioEncoder, AudioEncoderConfig, LogMelEncoder, LogMelEncoderConfig
from vqvae.networks.base import AutoregressiveDecoder, Decoder, Encoder, Given
from vqvae.networks.cepstral import CepstralDecoder, CepstralDecoderConfig, CepstralEncoder, CepstralEncoderConfig
from vqvae.networks.image import ImageDecoder, ImageDecoderConfig, ImageEncoder, ImageEncoderConfig
from vqvae.networks.second_stage import CodesDecoder, CodesDecoderConfig, CodesEncoder, CodesEncoderConfig
from vqvae.networks.spectral import SpectralDecoder, SpectralDecoderConfig
from vqvae.networks.video import VideoDecoder, VideoDecoderConfig, VideoEncoder, VideoEncoderConfig
from vqvae.networks.wavenet import WaveNetDecoder, WaveNetDecoderConfig

EncoderConfig = (
    ImageEncoderConfig
    | CodesEncoderConfig
    | AudioEncoderConfig
    | LogMelEncoderConfig
    | CepstralEncoderConfig
    | ArrayEncoderConfig
    | VideoEncoderConfig
)
DecoderConfig = (
    ImageDecoderConfig
    | CodesDecoderConfig
    | WaveNetDecoderConfig
    | SpectralDecoderConfig
    | CepstralDecoderConfig
    | ArrayDecoderConfig
    | VideoDecoderConfig
)

__all__ = [
    "ArrayDecoder",
    "ArrayDecoderConfig",
    "ArrayEncoder",
    "ArrayEncoderConfig",
    "AudioEncoder",
    "AudioEncoderConfig",
    "AutoregressiveDecoder",
    "CepstralDecoder",
    "CepstralDecoderConfig",
    "CepstralEncoder",
    "CepstralEncoderConfig",
    "CodesDecoder",
    "CodesDecoderConfig",
    "CodesEncoder",
    "CodesEncoderConfig",
    "Decoder",
    "DecoderConfig",
    "Encoder",
    "EncoderConfig",
    "Given",
    "ImageDecoder",
    "ImageDecoderConfig",
    "ImageEncoder",
    "ImageEncoderConfig",
    "LogMelEncoder",
    "LogMelEncoderConfig",
    "SpectralDecoder",
    "SpectralDecoderConfig",
    "VideoDecoder",
    "VideoDecoderConfig",
    "VideoEncoder",
    "VideoEncoderConfig",
    "WaveNetDecoder",
    "WaveNetDecoderConfig",
]
