"""Distances between recordings of speech: spectral distances, mel-cepstral distance, and STOI. Waves are in [-1, 1].

Spectral distances compare equal moments. The mel-cepstral distance allows for a different tempo, so it can compare a converted voice with
the target speaker. No distance replaces a listening test.
"""

import math
import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.errors import DataError, MissingExtraError
from vqvae.evaluation.speech.warping import warp
from vqvae.exact import exact
from vqvae.layers.mel import FLOOR, LogMel, power_spectrum

MELS = 80
RESOLUTIONS = ((512, 50), (1024, 120), (2048, 240))
"""Windows and hops in samples, close to those of Parallel WaveGAN (Yamamoto et al. 2020, https://arxiv.org/abs/1910.11480, table 1).
Windows are powers of two, and hops about a tenth of a window."""
CEPSTRA = 13
_WINDOW_SECONDS, _HOP_SECONDS = 0.025, 0.005
_DECIBELS = 10 / math.log(10)
_STOI_SECONDS = 0.41
"""The shortest input of STOI: 30 frames, which take 32 hops of 12.8 ms."""


def log_mel_distance(
    reference: Float[Tensor, "batch time"], other: Float[Tensor, "batch other_time"], sample_rate: int
) -> Float[Tensor, " batch"]:
    """The mean absolute difference of two log-mel spectrograms, in dB: 80 bands, windows of 25 ms every 5 ms, a floor of −100 dB.

    Raises:
        DataError: if the waves differ in shape or are shorter than 5 ms.
    """
    _check(reference, other)
    mel = _log_mel(sample_rate, reference.device)
    return _DECIBELS * (mel(reference) - mel(other)).abs().flatten(1).mean(1)


class RunningLogMelDistance:
    """``log_mel_distance`` of two recordings that arrive in pieces, in constant memory."""

    def __init__(self, sample_rate: int) -> None:
        self._mel = _log_mel(sample_rate, torch.device("cpu"))
        hop = self._mel.hop_length
        # The reach of a frame's window on either side, rounded up to whole hops.
        self._context = math.ceil(self._mel.window / hop) * hop
        self._held, self._done, self._sum, self._frames = torch.empty(2, 0), 0, 0.0, 0

    def add(self, reference: Float[Tensor, " time"], other: Float[Tensor, " time"]) -> None:
        """Add the next samples of both recordings."""
        self._held = torch.cat([self._held, torch.stack([reference, other]).float().cpu()], -1)
        hop = self._mel.hop_length
        self._count((self._held.shape[-1] - self._done - self._context) // hop)

    def value(self) -> float:
        """The distance between all samples so far, in dB.

        Raises:
            DataError: if the recordings are shorter than 5 ms.
        """
        self._count((self._held.shape[-1] - self._done) // self._mel.hop_length)
        if not self._frames:
            raise DataError("A recording shorter than 5 ms has no log-mel distance.")
        return _DECIBELS * self._sum / self._frames

    def _count(self, frames: int) -> None:
        """Add the given number of frames, and drop samples that no later frame needs."""
        if frames < 1:
            return
        hop = self._mel.hop_length
        first, stop = self._done // hop, self._done + frames * hop
        ours, theirs = exact(self._mel(self._held[:, : stop + self._context])[..., first : first + frames])
        self._sum, self._frames = self._sum + float((ours - theirs).abs().mean(0).sum()), self._frames + frames
        passed = max(stop - self._context, 0)
        self._held, self._done = self._held[:, passed:], stop - passed


def multi_resolution_stft_distance(
    reference: Float[Tensor, "batch time"], other: Float[Tensor, "batch other_time"]
) -> Float[Tensor, " batch"]:
    """The mean over three resolutions of spectral convergence and log magnitude distance: 0 for equal waves, dimensionless.

    Equations 4 and 5 of Parallel WaveGAN [https://arxiv.org/abs/1910.11480]: ‖|S| − |S′|‖ / ‖|S|‖ by the Frobenius norm, with S the
    spectrum of the reference, plus the mean of |log |S| − log |S′||, in nats of amplitude. One difference from the paper: magnitudes have a
    floor of −100 dB in the logarithm.

    Raises:
        DataError: if the waves differ in shape or are shorter than a hop.
    """
    _check(reference, other)
    total = torch.zeros(len(reference), dtype=torch.float32, device=reference.device)
    for window, hop in RESOLUTIONS:
        ours, theirs = (power_spectrum(wave.float(), window, hop).flatten(1) for wave in (reference, other))
        apart = torch.linalg.vector_norm(ours.sqrt() - theirs.sqrt(), dim=1)
        convergence = apart / torch.linalg.vector_norm(ours.sqrt(), dim=1).clamp(min=FLOOR)
        # Half the logarithm of power is the logarithm of amplitude.
        logarithms = (ours.clamp(min=FLOOR).log() - theirs.clamp(min=FLOOR).log()).abs().mean(1) / 2
        total += (convergence + logarithms) / len(RESOLUTIONS)
    return total


def mel_cepstra(wave: Float[Tensor, "*batch time"], sample_rate: int) -> Float[Tensor, "*batch frames cepstra"]:
    """Cepstra 1 to 13 of the log-mel spectrum, every 5 ms. They describe the shape of the spectrum, independent of its loudness.

    They are the cosine transform c_d = (1/M) Σ_m log P_m cos(π d (m + ½) / M) of the power P in M = 80 bands, so that
    log P = c_0 + 2 Σ_d c_d cos(…).

    Raises:
        DataError: if the wave is shorter than 5 ms.
    """
    bands = (torch.arange(MELS, dtype=torch.float64) + 0.5) / MELS
    orders = torch.arange(1, CEPSTRA + 1, dtype=torch.float64)
    cosines = torch.cos(math.pi * bands[:, None] * orders) / MELS
    frames = _log_mel(sample_rate, wave.device)(wave).transpose(-1, -2)
    return frames @ cosines.to(frames.dtype).to(frames.device)


def mel_cepstral_distance(reference: Float[Tensor, " time"], other: Float[Tensor, " other_time"], sample_rate: int) -> float:
    """The mean of (10 / ln 10) √(2 Σ_d (c_d − c′_d)²) in dB, over pairs of frames that warping aligns (Kubichek 1993,
    https://doi.org/10.1109/PACRIM.1993.407206).

    With the cepstra of ``mel_cepstra``, this is the root mean squared difference of two smoothed spectra in dB, without their loudness.
    Silent frames count, too. Compare scores only at the same sample rate and from the same program: each program defines its own cepstra.

    Raises:
        DataError: if a wave is shorter than 5 ms.
    """
    ours, theirs = (mel_cepstra(exact(wave), sample_rate).cpu() for wave in (reference, other))
    apart = _DECIBELS * math.sqrt(2) * torch.cdist(ours, theirs).numpy()
    path = warp(apart)
    return float(apart[path.first, path.second].mean())


def stoi(reference: Float[Tensor, " time"], other: Float[Tensor, " other_time"], sample_rate: int) -> float:
    """Short-time objective intelligibility (Taal et al. 2011, https://doi.org/10.1109/TASL.2011.2114881), from about 0 to 1 (equal).

    Frames with a silent reference do not count.

    Raises:
        MissingExtraError: if pystoi is not installed.
        DataError: if the waves differ in length or have less than 0.41 s of speech.
    """
    try:
        import pystoi
    except ImportError as error:
        raise MissingExtraError("pystoi", "speech-scores") from error
    _check(reference, other)
    ours, theirs = (wave.detach().cpu().double().numpy() for wave in (reference, other))
    seconds = len(ours) / sample_rate
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            if seconds >= _STOI_SECONDS:
                return float(pystoi.stoi(ours, theirs, sample_rate))
            shortage = None
        except RuntimeWarning as warning:
            shortage = warning
    raise DataError(f"STOI needs {_STOI_SECONDS} s of speech in the reference; these {seconds:.2f} s contain less.") from shortage


def _log_mel(sample_rate: int, device: torch.device) -> LogMel:
    return LogMel(
        sample_rate=sample_rate, window=round(sample_rate * _WINDOW_SECONDS), hop_length=round(sample_rate * _HOP_SECONDS), mels=MELS
    ).to(device)


def _check(reference: Tensor, other: Tensor) -> None:
    if reference.shape != other.shape:
        raise DataError(
            f"The waves have the shapes {tuple(reference.shape)} and {tuple(other.shape)}; this score compares equal moments. "
            "Cut both to the same length, or use the mel-cepstral distance, which allows for a different tempo."
        )
