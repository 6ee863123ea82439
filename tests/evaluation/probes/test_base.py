"""Recordings with their phones, in chunks."""

import numpy as np
import pytest
import torch

from tests.evaluation.probes.toys import FRAME, PHONES, RATE, clip
from vqvae.data.phones import Phone
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.probes.base import SILENCE, LabelledAudio, LabelledClip
from vqvae.evaluation.speech.phonemes import UNLABELLED


def test_chunks_have_the_labels_of_their_frames() -> None:
    samples = np.arange(205 * FRAME // 2, dtype=np.float32)
    phones = [Phone(0.0, 0.5, "C"), Phone(0.5, 0.505, "AA"), Phone(0.6, 0.9, "sil"), Phone(0.9, 2.0, "B")]
    data = LabelledAudio(
        [LabelledClip("a", samples, phones), LabelledClip("b", samples[:FRAME], [])], phones=PHONES, sample_rate=RATE, chunk=60, name="toy"
    )
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


def test_recordings_that_do_not_fit_are_errors() -> None:
    with pytest.raises(DataError, match="short has 79 samples"):
        LabelledAudio([LabelledClip("short", np.zeros(79, np.float32), [])], phones=PHONES, sample_rate=RATE, chunk=4, name="toy")
    with pytest.raises(DataError, match=r"odd has the phones \['ZZ'\]"):
        LabelledAudio(
            [LabelledClip("odd", np.zeros(800, np.float32), [Phone(0, 1, "ZZ")])], phones=PHONES, sample_rate=RATE, chunk=4, name="toy"
        )
    with pytest.raises(DataError, match="toy has no recordings"):
        LabelledAudio([], phones=PHONES, sample_rate=RATE, chunk=4, name="toy")
    with pytest.raises(ConfigError, match="chunk is 0"):
        LabelledAudio([clip(0, 0)], phones=PHONES, sample_rate=RATE, chunk=0, name="toy")
