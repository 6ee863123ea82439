"""Speech through mel cepstra: an encoder whose latents start as cepstra, and a decoder that predicts them."""

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
    """Mel cepstra of the moments around each latent, minus the mean of the recording, followed by a small network."""

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
    """Predicts the cepstra of each moment from its latent alone and the speaker. Use it with ``CepstralConfig`` as the likelihood."""

    stride: int = 640
    """Samples per latent. A moment of the likelihood must have as many."""
    speakers: int = 0
    """Number of speakers of ``condition.label``; 0 without speakers."""
    width: int = 256
    """Channels of the network."""

    def build(self, dim: int, num_parameters: int) -> "CepstralDecoder":
        return CepstralDecoder(self, dim, num_parameters)


class CepstralEncoder(Encoder):
    """Audio to latents that start as mel cepstra. Even before training, clusters of cepstra resemble phones.

    x ─ cepstra ─ linear + (conv 1, GELU, conv 1) ─ z_e

    The linear layer starts as the identity, and the network beside it starts at 0. Every latent depends on the whole recording through its

    mean. Differs from [VQVAE §4.3], which encodes the raw wave. For mel cepstra as input of a speech VQ-VAE see arXiv 1901.08810.
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
    """Vectors to the features of their moments, each on its own: a code cannot leave its information to its neighbours.

    z_q ─ conv 1 ─ + speaker ─ GELU ─ (conv 1, GELU), added ─ conv 1 ─ features
    """

    def __init__(self, config: CepstralDecoderConfig, dim: int, num_parameters: int) -> None:
        super().__init__()
        check_at_least(1, config, "width", "stride")
        self.config, self.stride, self.hop = config, (config.stride,), config.stride
        # The wave that the likelihood makes from features depends on two more moments.
        self.context = (2,)
        self.first = nn.Conv1d(dim, config.width, 1)
        self.speakers, self.speaker = config.speakers, Speakers(config.speakers, config.width)
        self.second, self.last = nn.Conv1d(config.width, config.width, 1), nn.Conv1d(config.width, num_parameters, 1)

    def forward(
        self, vectors: Float[Tensor, "batch dim frames"], condition: Condition = Condition(), past: Tensor | None = None
    ) -> Float[Tensor, "batch parameters frames"]:
        """Decode. ``past`` is not used.

        Raises:
            DataError: if the speaker is missing or out of range.
        """
        hidden = F.gelu(self.speaker(self.first(vectors), condition))
        return self.last(hidden + F.gelu(self.second(hidden)))
