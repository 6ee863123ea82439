"""Pictures and players of sound: spectrograms, waveforms as in figure 6 of [VQVAE §4.3], and an HTML player."""

import base64
import io
import wave as wav
from collections.abc import Mapping
from html import escape
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vqvae.errors import DataError
from vqvae.layers.mel import LogMel
from vqvae.reports.charts import DARK, QUIET, svg
from vqvae.reports.colours import heat

_MELS, _WINDOW_SECONDS, _HOP_SECONDS = 80, 0.05, 0.01
_RANGE = 7 * np.log(10)
"""70 dB, in nats of power."""
ERROR_RANGE = 30.0
"""The error in dB that has the brightest colour."""
_COLUMNS, _ROW, _LEFT, _LINE = 640, 64, 12, 18


def spectrogram(samples: Float[Tensor, " time"], sample_rate: int) -> UInt8[np.ndarray, "mels frames 3"]:
    """A log-mel spectrogram as a picture: 10 ms per column, 80 bands with the highest on top, 70 dB from black to the brightest colour.

    Raises:
        DataError: if the sound is shorter than 10 ms.
    """
    frames = _frames(samples, sample_rate)
    return np.ascontiguousarray(heat(1 + (frames - frames.max()) / _RANGE)[::-1])


def error_spectrogram(
    samples: Float[Tensor, " time"], original: Float[Tensor, " time"], sample_rate: int
) -> UInt8[np.ndarray, "mels frames 3"]:
    """The difference of two log-mel spectrograms as a picture like ``spectrogram``: black is 0, the brightest colour ``ERROR_RANGE`` dB or
    more. What is 70 dB below the loudest moment of the original counts as silence.

    Raises:
        DataError: if the sounds are shorter than 10 ms.
    """
    made, wanted = _frames(samples, sample_rate), _frames(original, sample_rate)
    floor = wanted.max() - _RANGE
    error = np.abs(np.maximum(made, floor) - np.maximum(wanted, floor)) * (10 / np.log(10))
    return np.ascontiguousarray(heat(error / ERROR_RANGE)[::-1])


def _frames(samples: Float[Tensor, " time"], sample_rate: int) -> Float[np.ndarray, "mels frames"]:
    """Log-mel power in nats."""
    mel = LogMel(
        sample_rate=sample_rate, window=round(sample_rate * _WINDOW_SECONDS), hop_length=round(sample_rate * _HOP_SECONDS), mels=_MELS
    )
    return mel(samples.detach().float().cpu()).cpu().double().numpy()


def wave_chart(title: str, waves: Mapping[str, Float[Tensor, " _"]], sample_rate: int) -> str:
    """Waveforms below each other, with common scales of time and amplitude, as a stand-alone SVG picture.

    Each of 640 columns spans the minimum and the maximum of its samples, so no peak is lost.

    Args:
        title: the title.
        waves: samples by caption.
        sample_rate: samples per second.

    Raises:
        DataError: if there is no wave, or a wave has no samples.
    """
    if not waves or not all(len(samples) for samples in waves.values()):
        raise DataError(f"{len(waves)} waves were given; expected at least one, each with at least one sample.")
    longest = max(len(samples) for samples in waves.values())
    loudest = max(float(samples.abs().max()) for samples in waves.values()) or 1.0
    parts = [f'<text x="{_LEFT}" y="13">{escape(title)}</text>']
    for row, (name, samples) in enumerate(waves.items()):
        top = _LINE + row * (_ROW + _LINE)
        places, low, high = _envelope(samples.detach().float().cpu().numpy(), longest)
        middle, half = top + _LINE + _ROW / 2, _ROW / 2 / loudest
        edge = [*zip(places, high, strict=True), *zip(places[::-1], low[::-1], strict=True)]
        corners = " ".join(f"{_LEFT + x:.1f},{middle - half * y:.1f}" for x, y in edge)
        parts.append(f'<text x="{_LEFT}" y="{top + 13}">{escape(name)}</text>')
        parts.append(f'<polygon points="{corners}" fill="{DARK}" stroke="{DARK}" stroke-width="0.5"/>')
    bottom = _LINE + len(waves) * (_ROW + _LINE)
    parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + _COLUMNS}" y1="{bottom}" y2="{bottom}" stroke="{QUIET}" stroke-width="0.5"/>')
    parts.append(f'<text x="{_LEFT}" y="{bottom + 14}">0 s</text>')
    parts.append(f'<text x="{_LEFT + _COLUMNS}" y="{bottom + 14}" text-anchor="end">{longest / sample_rate:.2f} s</text>')
    return svg(2 * _LEFT + _COLUMNS, bottom + _LINE, title, "".join(parts))


def wave_line(samples: Float[Tensor, " time"], peak: float, said: str) -> str:
    """One waveform as an SVG picture without text.

    Args:
        samples: one sample or more.
        peak: the amplitude at the edge of the picture.
        said: what a screen reader says.
    """
    places, low, high = _envelope(samples.detach().float().cpu().numpy(), len(samples))
    edge = [*zip(places, high, strict=True), *zip(places[::-1], low[::-1], strict=True)]
    corners = " ".join(f"{x:.1f},{_ROW / 2 * (1 - y / peak):.1f}" for x, y in edge)
    shape = f'<polygon points="{corners}" fill="{DARK}" stroke="{DARK}" stroke-width="1"/>'
    return (
        f'<svg viewBox="0 0 {_COLUMNS} {_ROW}" preserveAspectRatio="none" class="wave" role="img" aria-label="{escape(said)}">{shape}</svg>'
    )


def audio_player(samples: Float[Tensor, " time"], sample_rate: int, said: str = "sound") -> str:
    """An HTML player with the sound inside, as a 16-bit WAV. Samples outside [-1, 1] are clipped. A screen reader says ``said``.

    Raises:
        DataError: if a sample is infinite or not a number.
    """
    if not torch.isfinite(samples).all():
        raise DataError("The sound has a sample that is infinite or not a number, so it cannot be played.")
    levels = (samples.detach().cpu().double() * 32768).round().clamp(-32768, 32767)
    file = io.BytesIO()
    with wav.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(levels.numpy().astype("<i2").tobytes())
    return f'<audio controls aria-label="{escape(said)}" src="data:audio/wav;base64,{base64.b64encode(file.getvalue()).decode()}"></audio>'


class _Envelope(NamedTuple):
    """The minimum and the maximum of each column of a waveform."""

    places: Float[np.ndarray, " columns"]
    low: Float[np.ndarray, " columns"]
    high: Float[np.ndarray, " columns"]


def _envelope(samples: Float[np.ndarray, " time"], longest: int) -> _Envelope:
    """The columns of a waveform, if ``longest`` samples fill the picture."""
    columns = min(_COLUMNS, longest)
    starts = np.arange(columns) * longest // columns
    starts = starts[starts < len(samples)]
    places = np.arange(len(starts)) * (_COLUMNS / columns)
    return _Envelope(places, np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts))
