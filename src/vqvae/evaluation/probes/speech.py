"""Small classifiers of speech, trained on real recordings and then held to reconstructions: who speaks, and which phones.

What a tokenizer has kept of a speaker or of the words is what such a classifier still finds in its sound. Both hear log-mel frames, 100
a second, and are trained as any module whose ``forward`` is an ``Objective``.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import check_at_least
from vqvae.data.base import Batch, Dataset, Objective
from vqvae.data.phones import Phone
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.speech.phonemes import UNLABELLED, frame_labels, is_silence
from vqvae.layers.mel import LogMel
from vqvae.signals import sound

FRAME_RATE = 100
"""Frames a second."""
SILENCE = 0
"""The recogniser's class where nobody speaks."""
_WINDOW_SECONDS = 0.025
_KERNEL = 5
_LEVEL, _SPREAD = -14.0, 3.0
"""About the mean and the standard deviation of log-mel frames of speech, in nats."""


@dataclass(frozen=True, kw_only=True)
class SpeakerClassifierConfig:
    """Log-mel frames, residual convolutions, mean and standard deviation over time, a layer of logits."""

    speakers: int
    """How many there are; labels are 0 to one less."""
    rate: int = 16_000
    """Samples a second."""
    mels: int = 40
    """Bands of the input."""
    width: int = 128
    """Channels of the convolutions."""
    layers: int = 3
    """Residual convolutions over 5 frames; the dilation doubles from each to the next."""

    def __post_init__(self) -> None:
        _check_positive(self, "speakers", "rate", "mels", "width")

    def build(self) -> "SpeakerClassifier":
        return SpeakerClassifier(self)


@dataclass(frozen=True, kw_only=True)
class PhoneRecogniserConfig:
    """Log-mel frames, residual convolutions, logits for every frame."""

    phones: tuple[str, ...]
    """The phones to tell apart. Silence is a class beside them and is not named here."""
    rate: int = 16_000
    """Samples a second."""
    mels: int = 40
    """Bands of the input."""
    width: int = 128
    """Channels of the convolutions."""
    layers: int = 3
    """Residual convolutions over 5 frames; the dilation doubles from each to the next, so that 3 see 160 ms to either side."""

    def __post_init__(self) -> None:
        _check_positive(self, "rate", "mels", "width")
        silent = [phone for phone in self.phones if is_silence(phone)]
        if not self.phones or silent or len(set(self.phones)) < len(self.phones):
            raise ConfigError(
                f"phones has {len(self.phones)} names, {silent} of silence; at least one is expected, each once, none of silence."
            )

    def build(self) -> "PhoneRecogniser":
        return PhoneRecogniser(self)


ProbeConfig = SpeakerClassifierConfig | PhoneRecogniserConfig
"""What ``storage.load`` needs among its ``parts`` to load a probe."""


class LabelledClip(NamedTuple):
    """A recording and what is spoken there."""

    name: str
    samples: Float[np.ndarray, " time"]
    """float32, in [-1, 1]."""
    phones: Sequence[Phone]


class LabelledAudio(Dataset):
    """Chunks of recordings with the number of the phone at each frame in ``targets``: (batch, frames), 0 where it is silent and
    ``UNLABELLED`` where nothing is known. What reaches beyond a recording's end is digital silence without a label."""

    def __init__(self, clips: Sequence[LabelledClip], config: PhoneRecogniserConfig, *, chunk: int, name: str) -> None:
        """Lay out the chunks, end to end.

        Args:
            clips: the recordings; nothing is copied.
            config: names the phones and the rate.
            chunk: frames of an example.
            name: the data set's.

        Raises:
            ConfigError: a chunk of no frames.
            DataError: no recordings, one that is shorter than a frame, or a phone that the recogniser does not know.
        """
        check_at_least(1, "", chunk=chunk)
        self.name, self.signal = name, sound(config.rate)
        self._clips, self._chunk, self._hop = tuple(clips), chunk, _hop(config.rate)
        numbers = {phone: number for number, phone in enumerate(config.phones, start=SILENCE + 1)}
        self._labels = [_numbered(clip, numbers, self._hop, config.rate) for clip in self._clips]
        if not self._labels:
            raise DataError(f"{name} has no recordings.")
        self._places = [(i, first) for i, labels in enumerate(self._labels) for first in range(0, len(labels), chunk)]

    def __len__(self) -> int:
        """How many chunks there are."""
        return len(self._places)

    def batch(self, indices: np.ndarray) -> Batch:
        """The chunks at ``indices``: x is float32 (batch, 1, chunk · samples a frame)."""
        x = np.zeros((len(indices), 1, self._chunk * self._hop), np.float32)
        labels = np.full((len(indices), self._chunk), UNLABELLED, np.int64)
        for row, index in enumerate(indices):
            clip, first = self._places[index]
            found = self._labels[clip][first : first + self._chunk]
            samples = self._clips[clip].samples[first * self._hop : (first + len(found)) * self._hop]
            x[row, 0, : len(samples)], labels[row, : len(found)] = samples, found
        return Batch(torch.from_numpy(x), targets=torch.from_numpy(labels))


class SpeakerClassifier(nn.Module):
    """Who speaks: mean and standard deviation over time of what the convolutions find.

    Each frame is heard less its own mean, so that loudness, which is the recording's, tells nothing of the speaker.
    """

    def __init__(self, config: SpeakerClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.mel = _log_mel(config)
        self.body = _Convolutions(config.mels, config.width, config.layers)
        self.head = nn.Linear(2 * config.width, config.speakers)

    def forward(self, batch: Batch) -> Objective:
        """Nats of the right speakers, ``condition.label``, and the share of them that come first.

        Raises:
            DataError: there are no labels, one out of range, or a wave that is too short.
        """
        label = batch.condition.label
        if label is None:
            raise DataError("A batch has no condition.label; the classifier is trained on the speakers of its examples.")
        _check_range(label, 0, self.config.speakers, "speakers")
        logits = self.logits(batch)
        return Objective(F.cross_entropy(logits, label), {"accuracy": (logits.detach().argmax(1) == label).float().mean()})

    def logits(self, batch: Batch) -> Float[Tensor, "batch speakers"]:
        """Scores of all speakers. Where the batch has a mask, only frames count that lie in the data by half."""
        frames = self.mel(batch.x[:, 0])
        found = self.body((frames - frames.mean(1, keepdim=True)) / _SPREAD)
        weights = torch.ones_like(found[:, :1])
        if batch.mask is not None:
            weights = _in_frames(batch.mask, self.mel.hop).unsqueeze(1).to(found.dtype)
        share = weights / weights.sum(2, keepdim=True).clamp(min=1)
        mean = (share * found).sum(2)
        # Not below a rounding error: the root of 0 has no gradient.
        spread = (share * (found - mean.unsqueeze(2)).square()).sum(2).clamp(min=1e-6).sqrt()
        return self.head(torch.cat([mean, spread], 1))

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Int[Tensor, " batch"]:
        """The most likely speakers, on the CPU; the batch may be anywhere."""
        return self.logits(batch.to(self.head.weight.device)).argmax(1).cpu()


class PhoneRecogniser(nn.Module):
    """Which phone is spoken at each frame."""

    def __init__(self, config: PhoneRecogniserConfig) -> None:
        super().__init__()
        self.config = config
        self.mel = _log_mel(config)
        self.body = _Convolutions(config.mels, config.width, config.layers)
        self.head = nn.Conv1d(config.width, SILENCE + 1 + len(config.phones), 1)

    def forward(self, batch: Batch) -> Objective:
        """Nats a labelled frame, ``targets`` as ``LabelledAudio`` gives them, and the share of right ones among those with a
        phone.

        Raises:
            DataError: there are no labels, they are of another length or out of range, or a wave is too short.
        """
        labels = batch.targets
        logits = self.logits(batch)
        if labels is None or labels.shape != logits[:, 0].shape:
            raise DataError(
                f"A batch has labels (targets) of the shape {None if labels is None else tuple(labels.shape)}; "
                f"one a frame is expected, {tuple(logits[:, 0].shape)}."
            )
        _check_range(labels, UNLABELLED, logits.shape[1], "phones, with silence")
        known = (labels != UNLABELLED).sum().clamp(min=1)
        loss = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction="sum") / known
        spoken = labels > SILENCE
        right = (logits.detach().argmax(1) == labels) & spoken
        return Objective(loss, {"accuracy": right.sum() / spoken.sum().clamp(min=1)})

    def logits(self, batch: Batch) -> Float[Tensor, "batch classes frames"]:
        """Scores of silence and of all phones, at every frame."""
        return self.head(self.body((self.mel(batch.x[:, 0]) - _LEVEL) / _SPREAD))

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Int[Tensor, "batch frames"]:
        """The most likely class at every frame: ``SILENCE``, or one more than the phone's place in ``config.phones``. It is on the CPU;
        the batch may be anywhere."""
        return self.logits(batch.to(self.head.weight.device)).argmax(1).cpu()

    def sequences(self, batch: Batch) -> list[tuple[str, ...]]:
        """The phones of each example: the most likely ones, repeats of the next frame and silence left out."""
        found = self.predict(batch).tolist()
        return [tuple(self.config.phones[one - 1] for one, _ in itertools.groupby(row) if one != SILENCE) for row in found]


def frame_accuracy(predicted: Int[Tensor, "batch frames"], labels: Int[Tensor, "batch frames"]) -> float:
    """The share of frames with a phone that are told right, over a whole set; the labels may be those of another recording that runs
    beside, such as the original of a reconstruction.

    Raises:
        DataError: not one frame has a phone.
    """
    spoken = labels > SILENCE
    if not spoken.any():
        raise DataError(f"Not one of {labels.numel()} frames has a phone: all is silence or has no label.")
    return float((predicted == labels)[spoken].double().mean())


class _Convolutions(nn.Module):
    """What is found around each frame."""

    def __init__(self, mels: int, width: int, layers: int) -> None:
        super().__init__()
        self.start = nn.Conv1d(mels, width, _KERNEL, padding=_KERNEL // 2)
        self.blocks = nn.Sequential(*(_Block(width, 2**i) for i in range(layers)))
        self.norm = nn.LayerNorm(width)

    def forward(self, frames: Float[Tensor, "batch mels frames"]) -> Float[Tensor, "batch width frames"]:
        return self.norm(self.blocks(self.start(frames)).transpose(1, 2)).transpose(1, 2)


class _Block(nn.Module):
    """x + what is found in five frames around, ``dilation`` apart; each frame is normalised by itself."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Conv1d(width, width, _KERNEL, padding=dilation * (_KERNEL // 2), dilation=dilation)
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, x: Float[Tensor, "batch width frames"]) -> Float[Tensor, "batch width frames"]:
        return x + self.out(F.gelu(self.wide(self.norm(x.transpose(1, 2)).transpose(1, 2))))


def _log_mel(config: ProbeConfig) -> LogMel:
    return LogMel(rate=config.rate, window=round(config.rate * _WINDOW_SECONDS), hop=_hop(config.rate), mels=config.mels)


def _hop(rate: int) -> int:
    return round(rate / FRAME_RATE)


def _numbered(clip: LabelledClip, numbers: dict[str, int], hop: int, rate: int) -> np.ndarray:
    frames = len(clip.samples) // hop
    if not frames:
        raise DataError(f"{clip.name} has {len(clip.samples)} samples; a frame takes {hop}. Leave it out.")
    unknown = {phone.label for phone in clip.phones if not is_silence(phone.label)} - numbers.keys()
    if unknown:
        raise DataError(
            f"{clip.name} has the phones {sorted(unknown)[:5]}, which the recogniser does not know; it knows {sorted(numbers)}."
        )
    labels = frame_labels(clip.phones, frames, rate / hop)
    return np.array([UNLABELLED if label is None else numbers.get(label, SILENCE) for label in labels], np.int64)


def _in_frames(mask: Bool[Tensor, "batch time"], hop: int) -> Bool[Tensor, "batch frames"]:
    """Whether the middle sample of each frame is data."""
    return mask[:, hop // 2 :: hop][:, : mask.shape[1] // hop]


def _check_range(labels: Tensor, least: int, count: int, what: str) -> None:
    if labels.numel() and not least <= int(labels.min()) <= int(labels.max()) < count:
        raise DataError(f"Labels lie between {int(labels.min())} and {int(labels.max())}; this probe has {count} {what}.")


def _check_positive(config: ProbeConfig, *names: str) -> None:
    check_at_least(1, config, *names)
    if config.layers < 0:
        raise ConfigError(f"{type(config).__name__}.layers is {config.layers}; it must not be negative.")
