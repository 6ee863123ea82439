"""Which phones are spoken: a small recogniser that is trained on real recordings, and then held to reconstructions and conversions.

What a tokenizer has kept of the words is what such a recogniser still finds in its sound.
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
"""About the mean of log-mel frames of speech, in nats."""


@settings
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
        check_probe(self, "rate", "mels", "width")
        silent = [phone for phone in self.phones if is_silence(phone)]
        if not self.phones or silent or len(set(self.phones)) < len(self.phones):
            raise ConfigError(
                f"phones has {len(self.phones)} names, {silent} of silence; at least one is expected, each once, none of silence."
            )

    def build(self) -> "PhoneRecogniser":
        return PhoneRecogniser(self)


class PhoneRecogniser(nn.Module):
    """Which phone is spoken at each frame."""

    def __init__(self, config: PhoneRecogniserConfig) -> None:
        super().__init__()
        self.config = config
        self.mel = log_mel(config.rate, config.mels)
        self.body = Convolutions(config.mels, config.width, config.layers)
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
        check_range(labels, UNLABELLED, logits.shape[1], "phones, with silence")
        known = (labels != UNLABELLED).sum().clamp(min=1)
        loss = F.cross_entropy(logits, labels, ignore_index=UNLABELLED, reduction="sum") / known
        spoken = labels > SILENCE
        right = (logits.detach().argmax(1) == labels) & spoken
        return Objective(loss, {"accuracy": right.sum() / spoken.sum().clamp(min=1)})

    def logits(self, batch: Batch) -> Float[Tensor, "batch classes frames"]:
        """Scores of silence and of all phones, at every frame."""
        return self.head(self.body((self.mel(batch.x[:, 0]) - _MEAN) / SPREAD))

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
    return float(exact((predicted == labels)[spoken]).mean())
