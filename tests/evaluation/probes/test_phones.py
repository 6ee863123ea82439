"""A recogniser learns what is said, from toy voices."""

import numpy as np
import pytest
import torch

from tests.evaluation.probes.toys import FRAME, PHONES, RATE, clip, train
from vqvae import storage
from vqvae.data.base import Batch
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.probes.base import LabelledAudio
from vqvae.evaluation.probes.phones import PhoneRecogniser, PhoneRecogniserConfig, frame_accuracy
from vqvae.evaluation.speech.phonemes import UNLABELLED

RECOGNISER = PhoneRecogniserConfig(phones=PHONES, rate=RATE, mels=20, width=16, layers=1)


def words(first: int, count: int) -> LabelledAudio:
    return LabelledAudio(
        [clip(number, number % 3) for number in range(first, first + count)], phones=PHONES, sample_rate=RATE, chunk=40, name="toy"
    )


def test_a_recogniser_learns_what_is_said(tmp_path) -> None:
    torch.manual_seed(0)
    probe = RECOGNISER.build()
    fit = words(0, 30)
    train(probe, [fit.batch(np.arange(i, 60, 5)) for i in range(5)])
    held_out = words(100, 10)
    batch = held_out.batch(np.arange(len(held_out)))
    found = probe.predict(batch)
    accuracy = frame_accuracy(found, batch.targets)
    assert accuracy > 0.8
    assert float(probe(batch).metrics["accuracy"]) == pytest.approx(accuracy)
    # Stored and loaded, it hears the same.
    storage.save(probe, tmp_path / "probe")
    again = storage.load(tmp_path / "probe", [type(probe.config)])
    assert again.config == RECOGNISER and torch.equal(again.predict(batch), found)


def test_sequences_leave_out_repeats_and_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.tensor([[0, 1, 1, 2, 2, 0, 0, 2, 3, 3, 1, 0], [0] * 12])
    monkeypatch.setattr(PhoneRecogniser, "predict", lambda self, batch: rows)
    assert RECOGNISER.build().sequences(Batch(torch.zeros(2, 1, 960))) == [("AA", "B", "B", "C", "AA"), ()]


@torch.no_grad()
def test_labels_that_are_not_known_teach_nothing() -> None:
    probe = RECOGNISER.build()
    x = 0.1 * torch.randn(1, 1, 10 * FRAME)
    labels = torch.tensor([[1, 2, UNLABELLED, 0, 3, 1, UNLABELLED, 2, 0, 1]])
    objective = probe(Batch(x, targets=(labels)))
    log_prob = probe.logits(Batch(x)).log_softmax(1)[0]
    expected = -sum(float(log_prob[label, i]) for i, label in enumerate(labels[0].tolist()) if label >= 0) / 8
    assert float(objective.loss) == pytest.approx(expected, rel=1e-5)
    right = [log_prob[:, i].argmax() == label for i, label in enumerate(labels[0].tolist()) if label > 0]
    assert float(objective.metrics["accuracy"]) == pytest.approx(sum(map(bool, right)) / 6)
    nothing = probe(Batch(x, targets=(torch.full((1, 10), UNLABELLED))))
    assert float(nothing.loss) == 0 and float(nothing.metrics["accuracy"]) == 0


def test_accuracy_is_of_frames_with_a_phone() -> None:
    labels = torch.tensor([[1, 2, 0, UNLABELLED, 3]])
    assert frame_accuracy(torch.tensor([[1, 1, 1, 1, 3]]), labels) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="None of 3 frames"):
        frame_accuracy(torch.zeros(1, 3, dtype=torch.int64), torch.tensor([[0, 0, UNLABELLED]]))


def test_settings_that_do_not_fit_are_errors() -> None:
    for phones in ((), ("AA", "AA"), ("AA", "sil")):
        with pytest.raises(ConfigError, match="phones has"):
            PhoneRecogniserConfig(phones=phones)


def test_data_that_does_not_fit_is_an_error() -> None:
    x = torch.zeros(2, 1, 800)
    with pytest.raises(DataError, match=r"the shape None; expected one per frame, \(2, 10\)"):
        RECOGNISER.build()(Batch(x))
    with pytest.raises(DataError, match=r"\(2, 9\); expected one per frame, \(2, 10\)"):
        RECOGNISER.build()(Batch(x, targets=(torch.zeros(2, 9, dtype=torch.int64))))
    with pytest.raises(DataError, match="this probe has 4 phones, with silence"):
        RECOGNISER.build()(Batch(x, targets=(torch.full((2, 10), 4))))
