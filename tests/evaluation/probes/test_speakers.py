"""A classifier learns who speaks, from toy voices."""

import numpy as np
import pytest
import torch

from tests.evaluation.probes.toys import RATE, clip, train
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.probes.speakers import SpeakerClassifierConfig

SPEAKERS = SpeakerClassifierConfig(speakers=3, rate=RATE, mels=20, width=16, layers=1)


def voices(first: int, count: int) -> Batch:
    waves = [clip(number, number % 3).samples for number in range(first, first + count)]
    return Batch(torch.from_numpy(np.stack(waves))[:, None], Condition(label=torch.arange(first, first + count) % 3))


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


def test_settings_that_do_not_fit_are_errors() -> None:
    with pytest.raises(ConfigError, match="speakers is 0"):
        SpeakerClassifierConfig(speakers=0)
    with pytest.raises(ConfigError, match="layers is -1"):
        SpeakerClassifierConfig(speakers=2, layers=-1)


def test_data_that_does_not_fit_is_an_error() -> None:
    x = torch.zeros(2, 1, 800)
    with pytest.raises(DataError, match="no condition.label"):
        SPEAKERS.build()(Batch(x))
    with pytest.raises(DataError, match="between 0 and 3; this probe has 3 speakers"):
        SPEAKERS.build()(Batch(x, Condition(label=torch.tensor([0, 3]))))
