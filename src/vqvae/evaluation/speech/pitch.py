"""The fundamental frequency of a voice by YIN (de Cheveigné & Kawahara 2002, https://doi.org/10.1121/1.1458024), and its differences."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from vqvae.errors import ConfigError, DataError
from vqvae.exact import exact

HOP_SECONDS = 0.01
LOWEST, HIGHEST = 60.0, 500.0
"""The range of pitch in adult speech, in Hz. For a higher tone, ``f0`` finds an integer fraction of its frequency."""
DIP, APERIODIC = 0.15, 0.3
"""Thresholds of the normalised difference. The first dip below ``DIP`` is the period. A dip below ``APERIODIC`` makes a frame voiced."""
_SILENCE, _QUIET = 1e-8, 1e-3
"""The least power of a voiced frame: relative to full scale, and relative to the loudest frame."""
_AS_DEEP = 0.1
"""The largest difference in depth between two dips that count as equal; noise makes such differences."""
_CENTS, _LEAST_LAG = 1200, 4


class Pitch(NamedTuple):
    """The pitch of a wave, a hundred times per second."""

    hertz: Float[Tensor, "*batch frames"]
    """The pitch in Hz; 0 in unvoiced frames."""
    voiced: Bool[Tensor, "*batch frames"]


class PitchError(NamedTuple):
    """The difference between two pitch curves."""

    cents: float
    """The mean distance in frames where both are voiced, in hundredths of a semitone; NaN if there are none."""
    voicing: float
    """The share of frames in which only one of the two is voiced."""


def f0(wave: Float[Tensor, "*batch time"], sample_rate: int) -> Pitch:
    """The pitch every 10 ms, at the centre of each frame, by steps 1 to 5 of the paper. The wave is in [-1, 1].

    The period is the first dip of the cumulative mean normalised difference that is below ``DIP`` or about as deep as the deepest dip. A
    frame is voiced if the dip is below ``APERIODIC`` and the power is above two limits: −80 dB, and 30 dB below the loudest frame. Praat
    has such limits, too, because mains hum has a pitch.

    There are three differences from the paper. The paper does not define voiced frames. If no dip is below ``DIP``, the paper takes the
    deepest dip, which is often twice the period. Step 6 of the paper, which compares neighbouring frames, is omitted.

    Args:
        wave: the wave. Silence is added at both ends.
        sample_rate: samples per second.

    Raises:
        ConfigError: if the sample rate is too low for the highest pitch.
        DataError: if the wave is shorter than 10 ms.
    """
    shortest, longest, hop = int(sample_rate / HIGHEST) - 1, math.ceil(sample_rate / LOWEST), round(sample_rate * HOP_SECONDS)
    if sample_rate < _LEAST_LAG * HIGHEST:
        raise ConfigError(
            f"The sample rate is {sample_rate} samples per second; pitches up to {HIGHEST:g} Hz need at least {_LEAST_LAG * HIGHEST:g}."
        )
    if wave.shape[-1] < hop:
        raise DataError(f"A wave has {wave.shape[-1]} samples; a frame of pitch takes at least {hop}. Remove such short clips.")
    # float64, because sums of squares are subtracted. One lag more than the longest, to see the end of a dip.
    difference, power = _difference(exact(wave), hop, longest, longest + 2)
    lags = torch.arange(1, longest + 2, device=difference.device)
    normalised = difference[..., 1:] * lags / difference[..., 1:].cumsum(-1).clamp(min=torch.finfo(torch.float64).tiny)
    before, here, after = (normalised[..., shortest - 1 + i : longest - 1 + i] for i in range(3))
    # An end of the range is not a dip: for a tone that is too low, the curve falls all the way.
    depths = torch.where((here < before) & (here <= after), here, 1.0)
    # The first of the deep dips, not the deepest: twice the period is just as deep.
    place = (depths <= (depths.amin(-1, keepdim=True) + _AS_DEEP).clamp(min=DIP)).byte().argmax(-1)
    loud = power > (_QUIET * power.amax(-1, keepdim=True)).clamp(min=_SILENCE)
    voiced = loud & (depths.gather(-1, place.unsqueeze(-1)).squeeze(-1) < APERIODIC)
    lag = place + shortest + 1
    # A parabola through three values of the plain difference: the normalised one favours longer periods.
    left, low, right = (difference.gather(-1, (lag + i).unsqueeze(-1)).squeeze(-1) for i in (-1, 0, 1))
    bend = left - 2 * low + right
    shift = torch.where(bend > 0, (left - right) / (2 * bend), 0.0).clamp(-1, 1)
    return Pitch(torch.where(voiced, sample_rate / (lag + shift), 0.0).to(wave.dtype).to(wave.device), voiced.to(wave.device))


def f0_error(reference: Float[Tensor, " time"], other: Float[Tensor, " other_time"], sample_rate: int) -> PitchError:
    """Compare the pitch of two waves, frame by frame.

    Raises:
        ConfigError: see ``f0``.
        DataError: if the lengths differ, or are shorter than 10 ms.
    """
    if reference.shape != other.shape:
        raise DataError(
            f"The waves have {len(reference)} and {len(other)} samples; pitch is compared frame by frame. Cut both to the same length."
        )
    ours, theirs = f0(reference, sample_rate), f0(other, sample_rate)
    both = ours.voiced & theirs.voiced
    cents = _CENTS * exact(ours.hertz[both] / theirs.hertz[both]).log2().abs()
    return PitchError(float(cents.mean()) if len(cents) else math.nan, float(exact(ours.voiced != theirs.voiced).mean()))


def _difference(
    wave: Float[Tensor, "*batch time"], hop: int, window: int, lags: int
) -> tuple[Float[Tensor, "*batch frames lags"], Float[Tensor, "*batch frames"]]:
    """d(τ) = Σ (x_j − x_{j+τ})² over a window, for τ from 0 to before ``lags``, and the mean power: equation 6 of the paper.

    Computed as Σ x_j² + Σ x_{j+τ}² − 2 Σ x_j x_{j+τ}: the first two terms from running sums, the last by Fourier transforms.
    """
    span = window + lags - 1
    before = max(span - hop, 0) // 2
    frames = F.pad(wave, (before, max(span - hop, 0) - before)).unfold(-1, span, hop)
    points = 1 << (span + window - 1).bit_length()
    spectrum = torch.fft.rfft(frames, points) * torch.fft.rfft(frames[..., :window], points).conj()
    products = torch.fft.irfft(spectrum, points)[..., :lags]
    sums = F.pad(frames.square().cumsum(-1), (1, 0))
    power = sums[..., window : window + lags] - sums[..., :lags]
    return (power[..., :1] + power - 2 * products).clamp(min=0), power.amax(-1) / window
