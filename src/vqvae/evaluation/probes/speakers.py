"""A small speaker classifier, trained on real recordings and applied to reconstructions and conversions.

If it still recognises the speaker, the tokenizer has kept the voice.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import settings
from vqvae.data.base import Batch, Objective
from vqvae.errors import DataError
from vqvae.evaluation.probes.base import SPREAD, Convolutions, check_probe, check_range, in_frames, log_mel


@settings
class SpeakerClassifierConfig:
    """Log-mel frames, residual convolutions, mean and standard deviation over time, a layer of logits."""

    speakers: int
    """Number of speakers; labels start at 0."""
    rate: int = 16_000
    """Samples per second."""
    mels: int = 40
    """Bands of the input."""
    width: int = 128
    """Channels of the convolutions."""
    layers: int = 3
    """Number of residual convolutions over 5 frames. The dilation doubles from each to the next."""

    def __post_init__(self) -> None:
        check_probe(self, "speakers", "rate", "mels", "width")

    def build(self) -> "SpeakerClassifier":
        return SpeakerClassifier(self)


class SpeakerClassifier(nn.Module):
    """Predicts the speaker from mean and standard deviation over time of the convolutions' outputs.

    Each frame's mean is subtracted, so that loudness, a property of the recording, carries no information about the speaker.
    """

    def __init__(self, config: SpeakerClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.mel = log_mel(config.rate, config.mels)
        self.body = Convolutions(config.mels, config.width, config.layers)
        self.head = nn.Linear(2 * config.width, config.speakers)

    def forward(self, batch: Batch) -> Objective:
        """The cross-entropy of the right speakers, ``condition.label``, in nats, and the share of examples whose speaker is the likeliest.

        Raises:
            DataError: if there are no labels, a label is out of range, or a wave is too short.
        """
        label = batch.condition.label
        if label is None:
            raise DataError("A batch has no condition.label, but the classifier needs the speakers of its examples.")
        check_range(label, 0, self.config.speakers, "speakers")
        logits = self.logits(batch)
        return Objective(F.cross_entropy(logits, label), {"accuracy": (logits.detach().argmax(1) == label).float().mean()})

    def logits(self, batch: Batch) -> Float[Tensor, "batch speakers"]:
        """The logits of all speakers. With a mask, only frames count whose middle sample is data."""
        frames = self.mel(batch.x[:, 0])
        found = self.body((frames - frames.mean(1, keepdim=True)) / SPREAD)
        weights = torch.ones_like(found[:, :1])
        if batch.mask is not None:
            weights = in_frames(batch.mask, self.mel.hop_length).unsqueeze(1).to(found.dtype)
        share = weights / weights.sum(2, keepdim=True).clamp(min=1)
        mean = (share * found).sum(2)
        # Not below a rounding error: the root of 0 has no gradient.
        spread = (share * (found - mean.unsqueeze(2)).square()).sum(2).clamp(min=1e-6).sqrt()
        return self.head(torch.cat([mean, spread], 1))

    @torch.inference_mode()
    def predict(self, batch: Batch) -> Int[Tensor, " batch"]:
        """The likeliest speakers. The batch may be on any device; the result is on the CPU."""
        return self.logits(batch.to(self.head.weight.device)).argmax(1).cpu()
