"""The parts that speech probes share: 100 log-mel frames per second, residual convolutions, and recordings with their phones."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import check_at_least
from vqvae.data.base import Batch, Dataset
from vqvae.data.phones import Phone
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.speech.phonemes import UNLABELLED, frame_labels, is_silence
from vqvae.layers.mel import LogMel
from vqvae.signals import sound

FRAME_RATE = 100
"""Frames per second."""
SILENCE = 0
"""The class of a silent frame."""
SPREAD = 3.0
"""The approximate standard deviation of log-mel frames of speech, in nats."""
_WINDOW_SECONDS = 0.025
_KERNEL = 5


class LabelledClip(NamedTuple):
    """A recording and its phones."""

    name: str
    samples: Float[np.ndarray, " time"]
    """float32, in [-1, 1]."""
    phones: Sequence[Phone]


class LabelledAudio(Dataset):
    """Chunks of recordings. ``targets`` (batch, frames) has the number of each frame's phone: 0 for silence, ``UNLABELLED`` if unknown.
    After the end of a recording, there is digital silence without a label."""

    def __init__(self, clips: Sequence[LabelledClip], *, phones: Sequence[str], sample_rate: int, chunk: int, name: str) -> None:
        """Lay out the chunks, end to end.

        Args:
            clips: the recordings; nothing is copied.
            phones: the names of a recogniser's phones; the first is number 1.
            sample_rate: samples per second.
            chunk: frames per example.
            name: the data set's name.

        Raises:
            ConfigError: if a chunk has no frames.
            DataError: if there are no recordings, one is shorter than a frame, or the recogniser does not know a phone.
        """
        if chunk < 1:
            raise ConfigError(f"chunk is {chunk} frames; it must be at least 1.")
        self.name, self.signal = name, sound(sample_rate)
        self._clips, self._chunk, self._hop_length = tuple(clips), chunk, hop_length(sample_rate)
        numbers = {phone: number for number, phone in enumerate(phones, start=SILENCE + 1)}
        self._labels = [_numbered(clip, numbers, sample_rate) for clip in self._clips]
        if not self._labels:
            raise DataError(f"{name} has no recordings.")
        self._places = [(i, first) for i, labels in enumerate(self._labels) for first in range(0, len(labels), chunk)]

    def __len__(self) -> int:
        """The number of chunks."""
        return len(self._places)

    def batch(self, indices: np.ndarray) -> Batch:
        """The chunks at ``indices``: x is float32 (batch, 1, chunk · samples per frame)."""
        x = np.zeros((len(indices), 1, self._chunk * self._hop_length), np.float32)
        labels = np.full((len(indices), self._chunk), UNLABELLED, np.int64)
        for row, index in enumerate(indices):
            clip, first = self._places[index]
            found = self._labels[clip][first : first + self._chunk]
            samples = self._clips[clip].samples[first * self._hop_length : (first + len(found)) * self._hop_length]
            x[row, 0, : len(samples)], labels[row, : len(found)] = samples, found
        return Batch(torch.from_numpy(x), targets=torch.from_numpy(labels))


class Convolutions(nn.Module):
    """Residual convolutions over time. The dilation doubles from each to the next."""

    def __init__(self, mels: int, width: int, layers: int) -> None:
        super().__init__()
        self.start = nn.Conv1d(mels, width, _KERNEL, padding=_KERNEL // 2)
        self.blocks = nn.Sequential(*(_Block(width, 2**i) for i in range(layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, frames: Float[Tensor, "batch mels frames"]) -> Float[Tensor, "batch width frames"]:
        return self.norm(self.blocks(self.start(frames)).transpose(1, 2)).transpose(1, 2)


class _Block(nn.Module):
    """x plus a convolution over five frames, ``dilation`` apart. Each frame is normalised separately."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Conv1d(width, width, _KERNEL, padding=dilation * (_KERNEL // 2), dilation=dilation)
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, x: Float[Tensor, "batch width frames"]) -> Float[Tensor, "batch width frames"]:
        return x + self.out(F.gelu(self.wide(self.norm(x.transpose(1, 2)).transpose(1, 2))))


def log_mel(sample_rate: int, mels: int) -> LogMel:
    """The input frames of probes."""
    return LogMel(sample_rate=sample_rate, window=round(sample_rate * _WINDOW_SECONDS), hop_length=hop_length(sample_rate), mels=mels)


def hop_length(sample_rate: int) -> int:
    """Samples from one frame to the next."""
    return round(sample_rate / FRAME_RATE)


def in_frames(mask: Bool[Tensor, "batch time"], hop: int) -> Bool[Tensor, "batch frames"]:
    """Whether the middle sample of each frame is data."""
    return mask[:, hop // 2 :: hop][:, : mask.shape[1] // hop]


def check_range(labels: Tensor, least: int, count: int, what: str) -> None:
    """Raise DataError unless all labels lie in [least, count)."""
    if labels.numel() and not least <= int(labels.min()) <= int(labels.max()) < count:
        raise DataError(f"Labels lie between {int(labels.min())} and {int(labels.max())}; this probe has {count} {what}.")


def check_probe(config: Any, *names: str) -> None:
    """Raise ConfigError if a probe's size is out of range."""
    check_at_least(1, config, *names)
    check_at_least(0, config, "layers")


def _numbered(clip: LabelledClip, numbers: dict[str, int], sample_rate: int) -> np.ndarray:
    hop = hop_length(sample_rate)
    frames = len(clip.samples) // hop
    if not frames:
        raise DataError(f"{clip.name} has {len(clip.samples)} samples; a frame needs {hop}. Remove it.")
    unknown = {phone.label for phone in clip.phones if not is_silence(phone.label)} - numbers.keys()
    if unknown:
        raise DataError(
            f"{clip.name} has the phones {sorted(unknown)[:5]}, which the recogniser does not know; it knows {sorted(numbers)}."
        )
    labels = frame_labels(clip.phones, frames, sample_rate / hop)
    return np.array([UNLABELLED if label is None else numbers.get(label, SILENCE) for label in labels], np.int64)
