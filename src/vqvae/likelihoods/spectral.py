"""A multi-resolution spectral distance between waves: https://arxiv.org/abs/1910.11480, section 2.2."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from vqvae.config import settings
from vqvae.errors import ConfigError
from vqvae.layers.mel import FLOOR, power_spectrum
from vqvae.likelihoods.base import Expecting
from vqvae.likelihoods.distance import SoundDistance
from vqvae.likelihoods.levels import check_agreement, check_parameters
from vqvae.signals import sound

_QUIETEST = 1e-3
"""Quieter targets count as -60 dB: spectral convergence is relative and would be unbounded in silence."""


@settings
class SpectralConfig:
    """A multi-resolution distance of spectra, plus a small distance of waves."""

    windows: tuple[int, ...] = (512, 1024, 2048)
    """Window lengths of the spectra in samples. The hop is a quarter of the window."""
    weight: float = 1.0
    """Weight of the mean distance of spectra, per sample."""
    wave_weight: float = 1.0
    """Weight of the mean absolute difference of waves, per sample. Small compared with the spectra; it determines the wave's sign."""

    def build(self) -> "Spectral":
        return Spectral(self)


class Spectral(SoundDistance, Expecting):
    """``loss`` is a distance: it trains a decoder that generates the wave itself. It is not a probability.

    For each resolution, the distance is the spectral convergence ‖S - Ŝ‖ / ‖S‖ plus the mean of |log S - log Ŝ| over magnitudes S. The
    loss is the mean over resolutions, times the number of samples, so that a batch's ``per_dim`` is the distance itself.
    """

    def __init__(self, config: SpectralConfig) -> None:
        super().__init__()
        if not config.windows or any(window < 4 or window % 4 for window in config.windows):
            raise ConfigError(f"SpectralConfig.windows is {config.windows}; it must hold at least one multiple of 4.")
        if not (config.weight >= 0 and config.wave_weight >= 0 and config.weight + config.wave_weight > 0):
            raise ConfigError(
                f"SpectralConfig.weight is {config.weight} and wave_weight {config.wave_weight}; neither may be negative, nor both 0."
            )
        self.config = config

    @property
    def num_parameters(self) -> int:
        """One parameter per sample."""
        return 1

    def loss(
        self, parameters: Float[Tensor, "batch parameters time"], x: Tensor, mask: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, " batch"]:
        """The distance of the wave from the audio, times its samples. Samples where ``mask`` is False do not count.

        Raises:
            DataError: if audio, parameters or mask have the wrong type, shape or range.
        """
        sound().check(x)
        made = check_parameters(parameters, self.num_parameters)
        check_agreement(made, x, mask)
        with torch.autocast(x.device.type, enabled=False):
            counted = torch.ones_like(x[:, 0], dtype=torch.bool) if mask is None else mask
            made, real = made[:, 0] * counted, x[:, 0].to(made.dtype) * counted
            samples = counted.sum(1)
            distance = self.config.wave_weight * (made - real).abs().sum(1) / samples.clamp(min=1)
            for window in self.config.windows:
                distance = distance + self.config.weight / len(self.config.windows) * _distance(made, real, counted, window)
            return distance * samples

    def mode(self, parameters: Float[Tensor, "batch parameters time"]) -> Float[Tensor, "batch 1 time"]:
        """The wave itself, clipped to [-1, 1]."""
        return self.mean(parameters).clamp(-1, 1)

    def mean(self, parameters: Float[Tensor, "batch parameters time"]) -> Float[Tensor, "batch 1 time"]:
        """The wave itself."""
        return check_parameters(parameters, self.num_parameters)


def _distance(
    made: Float[Tensor, "batch time"], real: Float[Tensor, "batch time"], counted: Bool[Tensor, "batch time"], window: int
) -> Float[Tensor, " batch"]:
    """The distance at one resolution, over frames centred on data."""
    hop = window // 4
    missing = -made.shape[1] % hop
    made, real, counted = (F.pad(wave, (0, missing)) for wave in (made, real, counted))
    frames = counted.unflatten(1, (-1, hop)).any(2)
    # Power has a floor: the slope of a square root is unbounded at 0.
    a, b = (power_spectrum(wave, window, hop).clamp(min=FLOOR).sqrt() * frames.unsqueeze(1) for wave in (made, real))
    entries = (frames.sum(1) * a.shape[1]).clamp(min=1)
    # Under a Hann window, the mean square of the spectrum of white noise is 1.5 / window times the noise's own.
    least = _QUIETEST * (1.5 / window * entries).sqrt()
    convergence = torch.linalg.vector_norm(b - a, dim=(1, 2)) / torch.linalg.vector_norm(b, dim=(1, 2)).maximum(least)
    in_logs = (b.clamp(min=FLOOR**0.5).log() - a.clamp(min=FLOOR**0.5).log()).abs().sum((1, 2))
    return convergence + in_logs / entries
