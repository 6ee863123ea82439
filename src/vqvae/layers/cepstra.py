"""Mel cepstra of speech, minus the mean of the recording; and a wave synthesised from them. A moment is a few hops of the wave."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import settings
from vqvae.errors import ConfigError
from vqvae.exact import is_traced
from vqvae.layers.mel import LogMel, mean_of_loud, transform_points

_QUIET = 7.0
"""Nats of power below the mean of a recording, 30 dB. Anything quieter counts as silence."""
_SPREAD = 4.0
"""About the standard deviation of cepstra; they are divided by it."""
_MEAN, _SLOPE = -13.4, -0.046
"""The mean of speech in nats of power: in the lowest band, and the increase to each next band. Measured on eSpeak's voices."""
_LOUDEST = 10.0
"""Upper limit of log magnitudes, far above any wave: the exponential of untrained features could overflow."""


@settings
class CepstraConfig:
    """The features of the sound around each moment."""

    rate: int = 16_000
    """Samples per second."""
    window: int = 400
    """Samples of a spectrum's window."""
    hop: int = 160
    """Samples from one spectrum to the next."""
    spectra: int = 4
    """Spectra per moment. A moment has this many times ``hop`` samples."""
    mels: int = 80
    """Mel bands."""
    coefficients: int = 20
    """Cepstra per spectrum: weights of smooth cosines over the bands. Higher cepstra mostly hold pitch and noise of the bands."""
    loudness: float = 0.3
    """Weight of the first cepstrum, the loudness."""
    beside: float = 0.5
    """Weight of the cepstra of the moments before and after."""

    def __post_init__(self) -> None:
        if not 1 <= self.coefficients <= self.mels:
            raise ConfigError(f"CepstraConfig.coefficients is {self.coefficients}; expected from 1 to mels, {self.mels}.")
        if self.spectra < 1 or not self.loudness > 0 or self.beside < 0:
            raise ConfigError(
                f"CepstraConfig.spectra is {self.spectra}, loudness {self.loudness} and beside {self.beside}; expected spectra of at "
                "least 1, loudness above 0, and beside of at least 0."
            )
        points = transform_points(self.window)
        if points > (2 * self.spectra + 1) * self.hop:
            raise ConfigError(
                f"CepstraConfig.window is {self.window}; its spectra of {points} points reach beyond the next moment. "
                f"Expected at most {(2 * self.spectra + 1) * self.hop} points. Use more spectra per moment, or a shorter window."
            )


class Cepstra(nn.Module):
    """Converts a wave to features of its moments, and back. It has no weights.

    Features are the mel cepstra (the orthonormal DCT of the log-mel spectrum) of the middle spectra of a moment, then those of the moments
    before and after it, with a variance of about 1. The mean spectrum over the loud moments of the recording is subtracted. That removes
    its volume and the constant colour of its speaker and microphone. Anything more than 30 dB below that mean counts as silence, and so
    does everything outside the recording.
    """

    cosines: Tensor
    bands: Tensor
    colour: Tensor

    def __init__(self, config: CepstraConfig) -> None:
        super().__init__()
        self.config = config
        self.log_mel = LogMel(sample_rate=config.rate, window=config.window, hop_length=config.hop, mels=config.mels)
        self.stride = config.hop * config.spectra
        self.dim = 3 * config.coefficients
        orders, places = torch.arange(config.coefficients, dtype=torch.float64), torch.arange(config.mels, dtype=torch.float64)
        cosines = torch.cos(math.pi * orders[:, None] * (places + 0.5) / config.mels) * (2 / config.mels) ** 0.5
        cosines[0] *= config.loudness / 2**0.5
        self.register_buffer("cosines", cosines.float(), persistent=False)
        # Between the centres of two bands, the power of a bin is a weighted mean of theirs.
        middles = self.log_mel.filters @ torch.arange(self.log_mel.filters.shape[1], dtype=torch.float32) / self.log_mel.filters.sum(1)
        bins = torch.arange(self.log_mel.filters.shape[1], dtype=torch.float32)
        after = torch.searchsorted(middles, bins).clamp(1, config.mels - 1)
        share = ((bins - middles[after - 1]) / (middles[after] - middles[after - 1])).clamp(0, 1)
        bands = torch.zeros(len(bins), config.mels)
        bands[torch.arange(len(bins)), after - 1], bands[torch.arange(len(bins)), after] = 1 - share, share
        self.register_buffer("bands", bands, persistent=False)
        # A band's power is the sum of its bins'.
        colour = _MEAN + _SLOPE * torch.arange(config.mels) - self.log_mel.filters.sum(1).log()
        self.register_buffer("colour", colour[:, None], persistent=False)

    def forward(self, wave: Float[Tensor, "batch time"]) -> Float[Tensor, "batch dim moments"]:
        """The features of a whole recording, in float32 at least. Its length is a multiple of ``stride``.

        Raises:
            DataError: if the wave is shorter than a hop.
        """
        # A window reaches beyond its frame, even into the padding of a batch, which is silent.
        sounding = wave.ne(0).unflatten(1, (-1, self.stride)).any(2).repeat_interleave(self.config.spectra, 1)
        spectra = self.log_mel(wave)
        spectra = (spectra - mean_of_loud(spectra, sounding)).clamp(min=-_QUIET)
        cepstra = (self.cosines.to(spectra.dtype) @ spectra).unflatten(2, (-1, self.config.spectra))
        edge = (self.config.spectra - 1) // 2
        middle = cepstra[..., edge : self.config.spectra - edge].mean(-1) / _SPREAD
        silence = (self.cosines.to(spectra.dtype).sum(1) * -_QUIET / _SPREAD).view(1, -1, 1).expand(middle.shape[0], -1, 1)
        around = self.config.beside * torch.cat([silence, middle, silence], 2)
        return torch.cat([middle, around[..., :-2], around[..., 2:]], 1)

    def wave(self, features: Float[Tensor, "batch dim moments"]) -> Float[Tensor, "batch time"]:
        """A wave with about these cepstra at the centres of its moments: a monotone voice, with one pulse per hop and the mean spectrum of
        speech. The samples of a moment depend on two more moments on each side."""
        config = self.config
        own = features[:, : config.coefficients]
        if not is_traced() and not own.numel():
            return own.new_zeros(len(own), own.shape[2] * self.stride)
        # Linear interpolation from the centre of a moment to the centre of the next.
        own = F.interpolate(own, scale_factor=config.spectra, mode="linear") * _SPREAD
        weights = self.cosines.to(own.dtype)
        spectra = (weights / weights.square().sum(1, keepdim=True)).t() @ own
        spectra = spectra + self.colour.to(own.dtype)
        points = transform_points(config.window)
        magnitudes = (0.5 * (self.bands.to(own.dtype) @ spectra)).clamp(max=_LOUDEST).exp()
        pulses = torch.fft.irfft(magnitudes, n=points, dim=1).roll(points // 2, 1)
        # A spectrum is divided by the sum of its window, and contains the power of all pulses under it.
        window = torch.hann_window(config.window, dtype=own.dtype, device=own.device)
        loudness = window.sum() / (window.square().sum() / config.hop).sqrt()
        pulses = pulses * torch.hann_window(points, dtype=own.dtype, device=own.device)[:, None] * loudness
        length = (pulses.shape[2] - 1) * config.hop + points
        added = F.fold(pulses, (1, length), (1, points), stride=(1, config.hop)).flatten(1)
        return added.narrow(1, (points - config.hop) // 2, pulses.shape[2] * config.hop)
