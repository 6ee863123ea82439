"""A small phone recogniser, trained on real recordings and applied to reconstructions and conversions.

If it still recognises their phones, the tokenizer has kept the words.
"""

import itertools

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import settings
from vqvae.data.base import Batch, Objective
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.probes.base import SILENCE, SPREAD, Convolutions, check_probe, check_range, log_mel
from vqvae.evaluation.speech.phonemes import UNLABELLED, is_silence
from vqvae.exact import exact

_MEAN = -14.0
"""The approximate mean of log-mel frames of speech, in nats."""


@settings
class PhoneRecogniserConfig:
    """Log-mel frames, residual convolutions, logits for every frame."""

    phones: tuple[str, ...]
    """The phones. Silence is an additional class and is not listed here."""
    rate: int = 16_000
    """Samples per second."""
    mels: int = 40
    """Bands of the input."""
    width: int = 128
    """Channels of the convolutions."""
    layers: int = 3
    """Number of residual convolutions over 5 frames. The dilation doubles from each to the next: 3 of them see 160 ms to either side."""

    def __post_init__(self) -> None:
        check_probe(self, "rate", "mels", "width")
        silent = [phone for phone in self.phones if is_silence(phone)]
        if not self.phones or silent or len(set(self.phones)) < len(self.phones):
            raise ConfigError(
                f"phones has {len(self.phones)} names, {silent} of silence; expected at least one, each once, none of silence."
            )

    def build(self) -> "PhoneRecogniser":
        return PhoneRecogniser(self)


class PhoneRecogniser(nn.Module):
    """Predicts the phone at each frame."""

    def __init__(self, config: PhoneRecogniserConfig) -> None:
        super().__init__()
        self.config = config
        self.mel = log_mel(config.rate, config.mels)
        self.body = Convolutions(config.mels, config.width, config.layers)
        self.head = nn.Conv1d(config.width, SILENCE + 1 + len(config.phones), 1)

    def forward(self, batch: Batch) -> Objective:
        """The cross-entropy in nats per labelled frame, with ``targets`` from ``LabelledAudio``, and the share of right predictions among
        frames with a phone.

        Raises:
            DataError: if there are no labels, they have the wrong length or range, or a wave is too short.
        """
        labels = batch.targets
        logits = self.logits(batch)
        if labels is None or labels.shape != logits[:, 0].shape:
            raise DataError(
                f"A batch has labels (targets) of the shape {None if labels is None else tuple(labels.shape)}; "
                f"expected one per frame, {tuple(logits[:, 0].shape)}."
            )
        check_range(labels, UNLABELLED, logits.shape[1], "phones, with silence")
        known = (labels != UNLABELLED).sum().clamp(min=1)
        loss = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction="sum") / known
        spoken = labels > SILENCE
        right = (logits.detach().argmax(1) == labels) & spoken
        return Objective(loss, {"accuracy": right.sum() / spoken.sum().clamp(min=1)})

    def logits(self, batch: Batch) -> Float[Tensor, "batch classes frames"]:
        """The logits of silence and of all phones, at every frame."""
        return self.head(self.body((self.mel(batch.x[:, 0]) - _MEAN) / SPREAD))

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Int[Tensor, "batch frames"]:
        """The likeliest class at every frame: ``SILENCE``, or the phone's index in ``config.phones`` plus one. The batch may be on any
        device; the result is on the CPU."""
        return self.logits(batch.to(self.head.weight.device)).argmax(1).cpu()

    def sequences(self, batch: Batch) -> list[tuple[str, ...]]:
        """The likeliest phones of each example, without silence and without repeats in adjacent frames."""
        found = self.predict(batch).tolist()
        return [tuple(self.config.phones[one - 1] for one, _ in itertools.groupby(row) if one != SILENCE) for row in found]


def frame_accuracy(predicted: Int[Tensor, "batch frames"], labels: Int[Tensor, "batch frames"]) -> float:
    """The share of right predictions among frames with a phone, over a whole set. Labels may come from a parallel recording, such as the
    original of a reconstruction.

    Raises:
        DataError: if no frame has a phone.
    """
    spoken = labels > SILENCE
    if not spoken.any():
        raise DataError(f"None of {labels.numel()} frames has a phone: all are silent or unlabelled.")
    return float(exact((predicted == labels)[spoken]).mean())
