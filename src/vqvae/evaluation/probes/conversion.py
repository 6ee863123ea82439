"""Whether a converted voice is the one that it should be, and still says the same: E7 of [VQVAE §4.3], which gives sound examples alone.

Classifiers that were trained on real speech say who speaks and which phones; where the same words are
there in the voice aimed at, distances say whether a conversion has come nearer to it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.data.base import Batch
from vqvae.data.loader import in_order
from vqvae.errors import DataError
from vqvae.evaluation.probes.base import LabelledAudio, LabelledClip
from vqvae.evaluation.probes.phones import PhoneRecogniser, frame_accuracy
from vqvae.evaluation.probes.speakers import SpeakerClassifier
from vqvae.evaluation.speech.distances import mel_cepstral_distance


class Conversion(NamedTuple):
    """A recording, what was made of it, and what it should have become."""

    index: int
    """The number of the recording."""
    source: Float[Tensor, " time"]
    converted: Float[Tensor, " time"]
    speaker: int
    """The number of the voice aimed at."""
    target: Float[Tensor, " other_time"] | None = None
    """The same words in that voice, where there is such a recording; its tempo may be another."""


def score_conversions(conversions: Sequence[Conversion], classifier: SpeakerClassifier, sample_rate: int) -> dict[str, float]:
    """Who is heard in conversions, and what they are near to.

    ``target_speaker_named``: the share of conversions in which the classifier hears the voice aimed at.
    ``closer_to_target``: the share of those with a ``target`` whose mel-cepstral distance from it, after warping, is less than the
    source's. ``mel_cepstral_distance_converted`` and ``mel_cepstral_distance_source`` are the means of both, in dB.

    Raises:
        DataError: there is nothing to score.
    """
    if not conversions:
        raise DataError("No conversions came, so there is nothing to score.")
    named = [int(classifier.predict(Batch(one.converted[None, None]))) == one.speaker for one in conversions]
    scores = {"target_speaker_named": float(np.mean(named)), "conversions": float(len(conversions))}
    pairs = [
        (mel_cepstral_distance(one.target, one.converted, sample_rate), mel_cepstral_distance(one.target, one.source, sample_rate))
        for one in conversions
        if one.target is not None
    ]
    if pairs:
        converted, source = np.array(pairs).T
        scores["closer_to_target"] = float((converted < source).mean())
        scores["mel_cepstral_distance_converted"], scores["mel_cepstral_distance_source"] = float(converted.mean()), float(source.mean())
    return scores


def phones_told(recogniser: PhoneRecogniser, clips: Sequence[LabelledClip]) -> float:
    """The share of frames with a phone that a recogniser tells right, over all clips; silence does not count.

    Raises:
        DataError: no clips, a phone that the recogniser does not know, or not one frame with a phone.
    """
    frame = recogniser.mel.hop_length
    chunk = max((len(clip.samples) // frame for clip in clips), default=1)
    audio = LabelledAudio(
        clips, phones=recogniser.config.phones, sample_rate=recogniser.config.rate, chunk=chunk, name="clips to recognise"
    )
    found, labels = [], []
    for batch in in_order(audio, 16):
        assert batch.targets is not None
        found.append(recogniser.predict(batch))
        labels.append(batch.targets)
    return frame_accuracy(torch.cat(found), torch.cat(labels))
