"""Sound as power over time and mel frequency: the one mel filterbank of the project, for encoders, probes and scores.

For any window, frame f is centred on the samples from f · hop_length to (f + 1) · hop_length, and there are ``time // hop_length`` frames.
So a frame is aligned with the code, or the label, of the same samples.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import check_at_least
from vqvae.errors import ConfigError, DataError

FLOOR = 1e-10
"""The floor of power, relative to a full scale of 1: −100 dB, above the noise of 16 bits. It gives digital silence a logarithm."""

_LOUD = 6.0
"""A frame counts as speech if its power is within this many nats (26 dB) of the loudest frame of the recording."""


def power_spectrum(wave: Float[Tensor, "*batch time"], window: int, hop_length: int) -> Float[Tensor, "*batch bins frames"]:
    """The short-time power spectrum under a Hann window of ``window`` samples; a sine of amplitude a has a² / 4 at its peak.

    The wave is padded with silence where the window reaches beyond it. The number of points of the transform is the next power of two.

    Raises:
        DataError: if the wave is shorter than a hop.
    """
    time = wave.shape[-1]
    if time < hop_length:
        raise DataError(f"A wave has {time} samples; a frame takes at least {hop_length}. Remove such short clips.")
    before = (window - hop_length) // 2
    # A negative amount cuts off: a window shorter than the hop lies in the middle of it.
    frames = F.pad(wave, (before, window - hop_length - before)).unfold(-1, window, hop_length)
    if not frames.numel():  # The transform of nothing is an error of its own.
        return frames.new_zeros(*wave.shape[:-1], transform_points(window) // 2 + 1, time // hop_length)
    shape = torch.hann_window(window, dtype=wave.dtype, device=wave.device)
    return torch.fft.rfft(frames * (shape / shape.sum()), n=transform_points(window)).abs().square().transpose(-1, -2)


def mel_filters(sample_rate: int, window: int, mels: int, lowest: float = 0.0, highest: float | None = None) -> Float[Tensor, "mels bins"]:
    """Triangles of height 1, evenly spaced on the mel scale 2595 log₁₀(1 + f / 700) (O'Shaughnessy 1987; the HTK book, §5.4).

    Each begins at the centre of the one before and ends at the centre of the one after.

    Args:
        sample_rate: samples per second.
        window: length of the window of ``power_spectrum``, in samples.
        mels: number of bands.
        lowest: start of the first band, in Hz.
        highest: end of the last band, in Hz. Default: half the sample rate.

    Raises:
        ConfigError: if the frequencies are out of order, or a triangle lies between two bins of the spectrum and covers none.
    """
    highest = sample_rate / 2 if highest is None else highest
    if mels < 1 or not 0 <= lowest < highest <= sample_rate / 2:
        raise ConfigError(
            f"{mels} mel bands from {lowest:g} to {highest:g} Hz at {sample_rate} samples a second; expected at least 1 band, "
            f"and 0 <= lowest < highest <= {sample_rate / 2:g}."
        )
    points = transform_points(window)
    bins = torch.arange(points // 2 + 1, dtype=torch.float64) * sample_rate / points
    edges = _hertz(torch.linspace(_mel(lowest), _mel(highest), mels + 2, dtype=torch.float64))
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = torch.minimum((bins - left) / (middle - left), (right - bins) / (right - middle)).clamp(min=0)
    empty = 0 if filters.is_meta else int((filters.sum(1) == 0).sum())  # A meta tensor has a shape and no values.
    if empty:
        raise ConfigError(
            f"{empty} of {mels} mel bands are narrower than a bin of a spectrum of {points} points at {sample_rate} samples per second. "
            f"Take fewer bands than {mels}, or a window longer than {window}."
        )
    return filters.float()


class LogMel(nn.Module):
    """The natural logarithm of the power in mel bands, floored at −100 dB of full scale. It has no weights."""

    filters: Tensor

    def __init__(
        self, *, sample_rate: int, window: int, hop_length: int, mels: int, lowest: float = 0.0, highest: float | None = None
    ) -> None:
        """Compute the filterbank. ``window`` and ``hop_length`` are in samples; frequencies are as in ``mel_filters``.

        Raises:
            ConfigError: if a size is not positive, or the bands do not fit the window.
        """
        super().__init__()
        check_at_least(1, "", sample_rate=sample_rate, window=window, hop_length=hop_length)
        self.sample_rate, self.window, self.hop_length = sample_rate, window, hop_length
        # Not persistent: it is a function of the settings, which are stored.
        self.register_buffer("filters", mel_filters(sample_rate, window, mels, lowest, highest), persistent=False)

    def forward(self, wave: Float[Tensor, "*batch time"]) -> Float[Tensor, "*batch mels frames"]:
        """Log-mel frames of a wave in [-1, 1], in nats; always in float32 at least.

        Raises:
            DataError: if the wave is shorter than a hop.
        """
        # The power of speech spans ten decades. bfloat16 is too coarse for the sums, and most devices lack its transform.
        with torch.autocast(wave.device.type, enabled=False):
            wave = wave if wave.dtype == torch.float64 else wave.float()
            power = self.filters.to(wave.dtype) @ power_spectrum(wave, self.window, self.hop_length)
            return power.clamp(min=FLOOR).log()


def mean_of_loud(
    spectra: Float[Tensor, "batch mels frames"], sounding: Bool[Tensor, "batch frames"] | None = None
) -> Float[Tensor, "batch mels 1"]:
    """The mean over the loud frames, whose mean over bands is within ``_LOUD`` of the loudest: speech without pauses or padding.
    Only frames that are ``sounding`` count; if none is, the mean is 0."""
    loudness = spectra.mean(1, keepdim=True)
    loud = loudness >= loudness.amax(2, keepdim=True) - _LOUD
    loud = (loud if sounding is None else loud & sounding.unsqueeze(1)).to(spectra.dtype)
    return (spectra * loud).sum(2, keepdim=True) / loud.sum(2, keepdim=True).clamp(min=1)


def transform_points(window: int) -> int:
    """The number of points of a window's transform: the next power of two."""
    return 1 << max(window - 1, 1).bit_length()


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


def _hertz(mels: Float[Tensor, " edges"]) -> Float[Tensor, " edges"]:
    return 700 * (10 ** (mels / 2595) - 1)
