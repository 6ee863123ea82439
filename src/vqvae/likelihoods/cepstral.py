"""The distance of a wave's mel cepstra from those that a decoder predicts."""

from dataclasses import field

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from vqvae.config import settings
from vqvae.errors import DataError
from vqvae.layers.cepstra import Cepstra, CepstraConfig
from vqvae.likelihoods.distance import SoundDistance
from vqvae.likelihoods.levels import check_mask, check_parameters
from vqvae.signals import sound


@settings
class CepstralConfig:
    """Mean squared difference of the features of ``vqvae.layers.cepstra``."""

    cepstra: CepstraConfig = field(default_factory=CepstraConfig)
    """The features of each moment."""

    def build(self) -> "Cepstral":
        return Cepstral(self)


class Cepstral(SoundDistance):
    """``loss`` is the mean squared difference of features, for a decoder that predicts features instead of a wave.

    It measures what was said, not how: codes need not carry pitch, phases or properties of the whole recording. The wave made from
    features is a monotone voice: intelligible, not natural.
    """

    def __init__(self, config: CepstralConfig) -> None:
        super().__init__()
        self.config = config
        self.cepstra = Cepstra(config.cepstra)
        self.hop = self.cepstra.stride

    @property
    def num_parameters(self) -> int:
        """The number of features per moment."""
        return self.cepstra.dim

    def loss(
        self, parameters: Float[Tensor, "batch parameters moments"], x: Tensor, mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, " batch"]:
        """The mean squared difference times the samples. Samples where ``mask`` is False do not count.

        Raises:
            DataError: if audio, parameters or mask have the wrong type, shape or range.
        """
        sound().check(x)
        told = check_parameters(parameters, self.num_parameters)
        moments = -(-x.shape[2] // self.hop)
        if told.shape[0] != x.shape[0] or told.shape[2] != moments:
            raise DataError(
                f"Features have the shape {tuple(told.shape)}, audio the shape {tuple(x.shape)}; expected "
                f"({x.shape[0]}, {self.num_parameters}, {moments}): one moment per {self.hop} samples."
            )
        check_mask(mask, x)
        counted = torch.ones_like(x[:, 0], dtype=torch.bool) if mask is None else mask
        with torch.autocast(x.device.type, enabled=False):
            fill = (0, moments * self.hop - x.shape[2])
            real = self.cepstra(F.pad(x[:, 0].to(told.dtype) * counted, fill))
            frames = F.pad(counted, fill).unflatten(1, (-1, self.hop)).any(2)
            distance = ((told - real).square().mean(1) * frames).sum(1) / frames.sum(1).clamp(min=1)
            return distance * counted.sum(1)

    def mode(self, parameters: Float[Tensor, "batch parameters moments"]) -> Float[Tensor, "batch 1 time"]:
        """A wave with these features; see ``Cepstra.wave``."""
        told = check_parameters(parameters, self.num_parameters)
        with torch.autocast(told.device.type, enabled=False):
            return self.cepstra.wave(told).clamp(-1, 1).unsqueeze(1)
