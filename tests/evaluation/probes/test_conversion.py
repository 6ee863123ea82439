"""Scores of conversions, by classifiers that are known to be right and wrong."""

import numpy as np
import pytest
import torch
from torch import Tensor

from vqvae.data.base import Batch
from vqvae.data.phones import Phone
from vqvae.errors import DataError
from vqvae.evaluation.probes.base import LabelledClip
from vqvae.evaluation.probes.conversion import Conversion, phones_told, score_conversions
from vqvae.evaluation.probes.phones import PhoneRecogniser, PhoneRecogniserConfig
from vqvae.evaluation.probes.speakers import SpeakerClassifier, SpeakerClassifierConfig
from vqvae.evaluation.speech.distances import mel_cepstral_distance

RATE = 16_000


def buzz(pitch: float, resonance: float, samples: int = 8_000) -> Tensor:
    """Overtones of a pitch, loudest around a frequency."""
    time = torch.arange(samples) / RATE
    overtones = [k * pitch for k in range(1, 30) if k * pitch < 7_000]
    wave = sum(torch.sin(2 * torch.pi * f * time) / (1 + abs(f - resonance) / 200) for f in overtones)
    assert isinstance(wave, Tensor)
    return 0.3 * wave / wave.abs().max()


class ByPitch(SpeakerClassifier):
    """Speaker 0 crosses zero often, speaker 1 does not."""

    def predict(self, batch: Batch) -> Tensor:
        crossings = (batch.x[:, 0, 1:] * batch.x[:, 0, :-1] < 0).float().mean(1)
        return (crossings < 0.1).long()


def test_speakers_and_near_recordings() -> None:
    classifier = ByPitch(SpeakerClassifierConfig(speakers=2, width=4, layers=0))
    high, low = buzz(200, 3_000), buzz(100, 500, 6_000)
    assert classifier.predict(Batch(high[None, None])) == 0 and classifier.predict(Batch(low[None, None])) == 1
    good = Conversion(0, source=high, converted=buzz(105, 550), speaker=1, target=low)
    bad = Conversion(1, source=buzz(105, 550), converted=high, speaker=1, target=low)
    without = Conversion(2, source=high, converted=low, speaker=0)
    scores = score_conversions([good, bad, without], classifier, RATE)
    assert scores["target_speaker_named"] == pytest.approx(1 / 3) and scores["closer_to_target"] == 0.5 and scores["conversions"] == 3
    near, far = mel_cepstral_distance(low, good.converted, RATE), mel_cepstral_distance(low, high, RATE)
    assert near < far
    assert scores["mel_cepstral_distance_converted"] == pytest.approx((near + far) / 2)
    assert scores["mel_cepstral_distance_source"] == pytest.approx((near + far) / 2)
    assert set(score_conversions([without], classifier, RATE)) == {"target_speaker_named", "conversions"}, "no such words, no distance"
    with pytest.raises(DataError, match="no conversions"):
        score_conversions([], classifier, RATE)


class ByLoudness(PhoneRecogniser):
    """Loud frames are the second phone, quiet ones the first."""

    def predict(self, batch: Batch) -> Tensor:
        frames = batch.x[:, 0].unflatten(1, (-1, self.mel.hop_length)).square().mean(2)
        return 1 + (frames > 0.01).long()


def test_phones_are_scored_if_there_are_some() -> None:
    recogniser = ByLoudness(PhoneRecogniserConfig(phones=("A", "B"), rate=RATE, width=4, layers=0))
    quiet, loud = np.full(3_200, 0.01, np.float32), np.full(1_600, 0.5, np.float32)
    phones = (Phone(0.0, 0.1, "A"), Phone(0.1, 0.2, "SIL"), Phone(0.2, 0.3, "B"))
    assert phones_told(recogniser, [LabelledClip("one", np.concatenate([quiet, loud]), phones)]) == 1
    # 20 frames with a phone in the first, of which ten are right; ten in the second, all wrong.
    clips = [LabelledClip("one", np.concatenate([quiet, quiet[:1_600]]), phones), LabelledClip("two", loud, (Phone(0.0, 0.1, "A"),))]
    assert phones_told(recogniser, clips) == pytest.approx(10 / 30)
    with pytest.raises(DataError, match="no recordings"):
        phones_told(recogniser, [])
