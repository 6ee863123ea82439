"""Speech through its mel cepstra: an encoder that starts as them, and a decoder that predicts them."""

from dataclasses import field
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import check_at_least, settings
from vqvae.data.base import Condition
from vqvae.layers.cepstra import Cepstra, CepstraConfig
from vqvae.networks.audio import ENDLESS, check_sound
from vqvae.networks.base import Decoder, Encoder
from vqvae.networks.speakers import Speakers
from vqvae.signals import AXES, Signal


@settings
class CepstralEncoderConfig:
    """Mel cepstra of the moments around each latent, less the mean of the recording, and what a network makes of them."""

    axes: ClassVar[tuple[str, ...]] = AXES[1]
    """Axes of the data."""

    cepstra: CepstraConfig = field(default_factory=CepstraConfig)
    """The features of each moment."""
    width: int = 256
    """Channels of the network."""

    def build(self, signal: Signal, dim: int) -> "CepstralEncoder":
        return CepstralEncoder(self, signal, dim)


@settings
class CepstralDecoderConfig:
    """What each latent alone, and the speaker, say of the cepstra at its moment. Take ``CepstralConfig`` as the likelihood."""

    stride: int = 640
    """Samples per latent, equal to those of the likelihood's moments."""
    speakers: int = 0
    """Number of speakers of ``condition.label``; 0 without speakers."""
    width: int = 256
    """Channels of the network."""

    def build(self, dim: int, num_parameters: int) -> "CepstralDecoder":
        return CepstralDecoder(self, dim, num_parameters)


class CepstralEncoder(Encoder):
    """Audio to latents that begin as its mel cepstra: what clusters of speech are like phones by, before anything is learned.

    x ─ cepstra ─ linear + (conv 1, GELU, conv 1) ─ z_e

    The linear layer starts as the identity and the network beside it at 0. Every latent depends on the whole recording, by its mean.

    Differs from [VQVAE §4.3], which encodes the raw wave; mel cepstra as the input of a VQ-VAE of speech: arXiv 1901.08810.
    """

    def __init__(self, config: CepstralEncoderConfig, signal: Signal, dim: int) -> None:
        super().__init__()
        check_sound(signal)
        check_at_least(1, config, "width")
        self.config, self.signal, self.dim = config, signal, dim
        self.cepstra = Cepstra(config.cepstra)
        self.stride, self.context = (self.cepstra.stride,), (ENDLESS,)
        features = self.cepstra.dim
        self.linear = nn.Conv1d(features, dim, 1, bias=False)
        self.network = nn.Sequential(nn.Conv1d(features, config.width, 1), nn.GELU(), nn.Conv1d(config.width, dim, 1))
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(dim, features)[..., None])
            for parameter in self.network[2].parameters():
                parameter.zero_()

    def forward(self, x: Shaped[Tensor, "batch channels time"]) -> Float[Tensor, "batch dim frames"]:
        """Encode audio in [-1, 1], whose length is a multiple of the stride.

        Raises:
            DataError: if audio has another type, shape or range.
        """
        self.signal.check(x)
        features = self.cepstra(x[:, 0].float())
        return self.linear(features) + self.network(features)


class CepstralDecoder(Decoder):
    """Vectors to the features of their moments, one after the other alone: no code can leave to its neighbours what it should tell.

    z_q ─ conv 1 ─ + speaker ─ GELU ─ (conv 1, GELU), added ─ conv 1 ─ features
    """

    def __init__(self, config: CepstralDecoderConfig, dim: int, num_parameters: int) -> None:
        super().__init__()
        check_at_least(1, config, "width", "stride")
        self.config, self.stride, self.hop = config, (config.stride,), config.stride
        # What the likelihood makes of features sees two moments more.
        self.context = (2,)
        self.first = nn.Conv1d(dim, config.width, 1)
        self.speakers, self.speaker = config.speakers, Speakers(config.speakers, config.width)
        self.second, self.last = nn.Conv1d(config.width, config.width, 1), nn.Conv1d(config.width, num_parameters, 1)

    def forward(
        self, vectors: Float[Tensor, "batch dim frames"], condition: Condition = Condition(), past: Tensor | None = None
    ) -> Float[Tensor, "batch parameters frames"]:
        """Decode; ``past`` is not used.

        Raises:
            DataError: if the speaker is missing or out of range.
        """
        hidden = F.gelu(self.speaker(self.first(vectors), condition))
        return self.last(hidden + F.gelu(self.second(hidden)))
