"""Whether a conversion has the target voice and keeps the words: E7 of [VQVAE §4.3], which gives only sound examples.

Classifiers trained on real speech name the speaker and the phones. If the target voice has recorded the same words, distances show whether
the conversion is closer to that recording than its source is.
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
    """A recording, its conversion, and the target recording."""

    index: int
    """The number of the recording."""
    source: Float[Tensor, " time"]
    converted: Float[Tensor, " time"]
    speaker: int
    """The number of the target voice."""
    target: Float[Tensor, " other_time"] | None = None
    """A recording of the same words in that voice, if there is one. Its tempo may differ."""


def score_conversions(conversions: Sequence[Conversion], classifier: SpeakerClassifier, sample_rate: int) -> dict[str, float]:
    """Which speakers the classifier names in conversions, and how close conversions are to their targets.

    ``target_speaker_named``: the share of conversions in which the classifier names the target voice.
    ``closer_to_target``: the share of those with a ``target`` whose mel-cepstral distance from it, after warping, is less than the
    source's. ``mel_cepstral_distance_converted`` and ``mel_cepstral_distance_source`` are the means of both, in dB.

    Raises:
        DataError: if there is nothing to score.
    """
    if not conversions:
        raise DataError("There are no conversions to score.")
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
    """The share of frames with a phone that a recogniser gets right, over all clips. Silence does not count.

    Raises:
        DataError: if there are no clips, the recogniser does not know a phone, or no frame has a phone.
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
