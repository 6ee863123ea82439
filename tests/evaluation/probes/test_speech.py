"""Probes learn who speaks and what, from toy voices: a phone is a pitch, a speaker is a timbre."""

import numpy as np
import pytest
import torch
from torch import nn

from vqvae import storage
from vqvae.data.base import Batch, Condition
from vqvae.data.phones import Phone
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.probes.speech import (
    SILENCE,
    LabelledAudio,
    LabelledClip,
    PhoneRecogniser,
    PhoneRecogniserConfig,
    SpeakerClassifierConfig,
    frame_accuracy,
)
from vqvae.evaluation.speech.phonemes import UNLABELLED

RATE, FRAME = 8_000, 80
PHONES = ("AA", "B", "C")
HERTZ = {"AA": 200, "B": 330, "C": 540, "SIL": 0}
SPEAKERS = SpeakerClassifierConfig(speakers=3, rate=RATE, mels=20, width=16, layers=1)
RECOGNISER = PhoneRecogniserConfig(phones=PHONES, rate=RATE, mels=20, width=16, layers=1)


def clip(number: int, speaker: int, words: int = 8) -> LabelledClip:
    """Phones of 100 ms, each a pitch with overtones, whose slope is the speaker's; as loud as may be."""
    random = np.random.default_rng((number, speaker))
    labels = random.choice(list(HERTZ), words)
    time = np.arange(10 * FRAME) / RATE
    slope = (0.3, 1.0, 2.5)[speaker]
    tones = [sum(np.sin(2 * np.pi * HERTZ[label] * i * time) * i**-slope for i in range(1, 7)) for label in labels]
    wave = np.concatenate(tones) * random.uniform(0.02, 0.2) + 1e-4 * random.standard_normal(words * 10 * FRAME)
    phones = [Phone(0.1 * i, 0.1 * (i + 1), str(label)) for i, label in enumerate(labels)]
    return LabelledClip(f"{number}-{speaker}", wave.astype(np.float32), phones)


def voices(first: int, count: int) -> Batch:
    waves = [clip(number, number % 3).samples for number in range(first, first + count)]
    return Batch(torch.from_numpy(np.stack(waves))[:, None], Condition(label=torch.arange(first, first + count) % 3))


def words(first: int, count: int) -> LabelledAudio:
    return LabelledAudio([clip(number, number % 3) for number in range(first, first + count)], RECOGNISER, chunk=40, name="toy")


def train(probe: nn.Module, batches: list[Batch], steps: int = 50) -> None:
    optimizer = torch.optim.Adam(probe.parameters(), lr=1e-2)
    for step in range(steps):
        optimizer.zero_grad()
        probe(batches[step % len(batches)]).loss.backward()
        optimizer.step()
    probe.eval()


def test_a_classifier_learns_who_speaks() -> None:
    torch.manual_seed(0)
    probe = SPEAKERS.build()
    train(probe, [voices(12 * i, 12) for i in range(5)])
    held_out = voices(100, 30)
    assert (probe.predict(held_out) == held_out.condition.label).float().mean() > 0.8
    assert float(probe(held_out).metrics["accuracy"]) == pytest.approx(
        float((probe.predict(held_out) == held_out.condition.label).float().mean())
    )
    # Loudness is no clue.
    louder = held_out._replace(x=held_out.x * 4)
    assert (probe.predict(louder) == probe.predict(held_out)).float().mean() > 0.9


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


def test_chunks_have_the_labels_of_their_frames() -> None:
    samples = np.arange(205 * FRAME // 2, dtype=np.float32)
    phones = [Phone(0.0, 0.5, "C"), Phone(0.5, 0.505, "AA"), Phone(0.6, 0.9, "sil"), Phone(0.9, 2.0, "B")]
    data = LabelledAudio([LabelledClip("a", samples, phones), LabelledClip("b", samples[:FRAME], [])], RECOGNISER, chunk=60, name="toy")
    assert len(data) == 3 and data.name == "toy"
    batch = data.batch(np.array([2, 0, 1]))
    assert batch.x.shape == (3, 1, 60 * FRAME) and batch.x.dtype == torch.float32
    labels = batch.targets
    assert labels[0].tolist() == [UNLABELLED] * 60
    # The centre of frame 50 is at 0.505 s: no longer AA.
    assert labels[1].tolist() == [3] * 50 + [UNLABELLED] * 10
    assert labels[2].tolist() == [SILENCE] * 30 + [2] * 12 + [UNLABELLED] * 18
    assert torch.equal(batch.x[1, 0], torch.from_numpy(samples[: 60 * FRAME]))
    # The half frame at the end of the recording is left out, and silence follows.
    assert torch.equal(batch.x[2, 0, : 42 * FRAME], torch.from_numpy(samples[60 * FRAME : 102 * FRAME]))
    assert not batch.x[2, 0, 42 * FRAME :].any()


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


@torch.no_grad()
def test_a_mask_hides_what_follows_a_short_recording() -> None:
    torch.manual_seed(0)
    probe = SPEAKERS.build().eval()
    x = torch.from_numpy(clip(0, 0).samples)[None, None]
    time = x.shape[2]
    # Far enough behind that no convolution or window sees it.
    garbage = 0.1 * torch.randn(1, 1, 4 * time)
    padded = torch.cat([x, torch.zeros_like(x), garbage], 2)
    mask = torch.arange(padded.shape[2])[None] < time
    alone = probe.logits(Batch(x))
    hidden = probe.logits(Batch(padded, mask=mask))
    shown = probe.logits(Batch(padded))
    assert (hidden - alone).abs().max() < 0.2 * (shown - alone).abs().max()
    assert torch.equal(hidden, probe.logits(Batch(torch.cat([padded[..., : 2 * time], -2 * garbage], 2), mask=mask)))
    assert torch.equal(probe.logits(Batch(x, mask=torch.ones(1, time, dtype=torch.bool))), alone)


def test_accuracy_is_of_frames_with_a_phone() -> None:
    labels = torch.tensor([[1, 2, 0, UNLABELLED, 3]])
    assert frame_accuracy(torch.tensor([[1, 1, 1, 1, 3]]), labels) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="Not one of 3 frames"):
        frame_accuracy(torch.zeros(1, 3, dtype=torch.int64), torch.tensor([[0, 0, UNLABELLED]]))


def test_settings_that_do_not_fit_are_errors() -> None:
    with pytest.raises(ConfigError, match="speakers is 0"):
        SpeakerClassifierConfig(speakers=0)
    with pytest.raises(ConfigError, match="layers is -1"):
        SpeakerClassifierConfig(speakers=2, layers=-1)
    for phones in ((), ("AA", "AA"), ("AA", "sil")):
        with pytest.raises(ConfigError, match="phones has"):
            PhoneRecogniserConfig(phones=phones)
    with pytest.raises(ConfigError, match="chunk is 0; it must be at least 1"):
        LabelledAudio([clip(0, 0)], RECOGNISER, chunk=0, name="toy")


def test_data_that_does_not_fit_is_an_error() -> None:
    x = torch.zeros(2, 1, 800)
    with pytest.raises(DataError, match="no condition.label"):
        SPEAKERS.build()(Batch(x))
    with pytest.raises(DataError, match="between 0 and 3; this probe has 3 speakers"):
        SPEAKERS.build()(Batch(x, Condition(label=torch.tensor([0, 3]))))
    with pytest.raises(DataError, match=r"the shape None; one a frame is expected, \(2, 10\)"):
        RECOGNISER.build()(Batch(x))
    with pytest.raises(DataError, match=r"\(2, 9\); one a frame is expected, \(2, 10\)"):
        RECOGNISER.build()(Batch(x, targets=(torch.zeros(2, 9, dtype=torch.int64))))
    with pytest.raises(DataError, match="this probe has 4 phones, with silence"):
        RECOGNISER.build()(Batch(x, targets=(torch.full((2, 10), 4))))
    with pytest.raises(DataError, match="short has 79 samples"):
        LabelledAudio([LabelledClip("short", np.zeros(79, np.float32), [])], RECOGNISER, chunk=4, name="toy")
    with pytest.raises(DataError, match=r"odd has the phones \['ZZ'\]"):
        LabelledAudio([LabelledClip("odd", np.zeros(800, np.float32), [Phone(0, 1, "ZZ")])], RECOGNISER, chunk=4, name="toy")
    with pytest.raises(DataError, match="toy has no recordings"):
        LabelledAudio([], RECOGNISER, chunk=4, name="toy")
