"""A classifier learns which action lies between two frames, from toy pictures that scroll."""

import pytest
import torch

from tests.evaluation.probes.toys import train
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.probes.dynamics import InverseDynamicsConfig

SMALL = InverseDynamicsConfig(actions=3, channels=1, width=8)
SIZE, STEP = 24, 4


def scrolling(count: int, time: int, seed: int) -> Batch:
    """Clips of random pictures. Action 1 moves them to the left, action 2 to the right, action 0 leaves them."""
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randint(0, 3, (count, time), generator=generator)
    coarse = torch.randint(0, 256, (count, 1, SIZE // 4, SIZE // 4), generator=generator)
    frames = [coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)]
    for step in range(time - 1):
        moved = [
            frame.roll({0: 0, 1: -STEP, 2: STEP}[action], 2) for frame, action in zip(frames[-1], actions[:, step].tolist(), strict=True)
        ]
        frames.append(torch.stack(moved))
    return Batch(torch.stack(frames, 2).to(torch.uint8), Condition(actions=actions))


def test_a_classifier_names_the_action_between_frames() -> None:
    torch.manual_seed(0)
    probe = SMALL.build()
    train(probe, [scrolling(32, 2, seed) for seed in range(30)])
    clips = scrolling(12, 5, 100)
    assert clips.condition.actions is not None
    named = probe.predict(clips.x)
    assert named.shape == (12, 4) and (named == clips.condition.actions[:, :4]).float().mean() > 0.9
    pairs = Batch(clips.x[:, :, 1:3], Condition(actions=clips.condition.actions[:, 1:3]))
    assert float(probe(pairs).metrics["accuracy"]) == pytest.approx(float((named[:, 1] == clips.condition.actions[:, 1]).float().mean()))


def test_features_of_frames_ignore_the_order_and_features_of_motion_do_not() -> None:
    clips = scrolling(5, 3, 0).x
    probe = InverseDynamicsConfig(actions=3, channels=1).build()
    looks, moves = probe.appearance(clips), probe.motion(clips)
    assert looks.shape == moves.shape == (5, 2, 64)
    torch.testing.assert_close(probe.appearance(clips[3:4]), looks[3:4])
    swapped = clips[:, :, [1, 0, 2]]
    torch.testing.assert_close(probe.appearance(swapped)[:, 1], looks[:, 1])
    assert not torch.allclose(probe.motion(swapped)[:, 0], moves[:, 0], atol=1e-3)
    torch.testing.assert_close(probe.motion(clips[:, :, 1:])[:, 0], moves[:, 1])


def test_settings_and_data_that_do_not_fit_are_errors() -> None:
    with pytest.raises(ConfigError, match="actions is 0"):
        InverseDynamicsConfig(actions=0)
    probe, clips = SMALL.build(), scrolling(2, 3, 0)
    with pytest.raises(DataError, match="needs pairs"):
        probe(clips)
    pairs = clips._replace(x=clips.x[:, :, :2])
    with pytest.raises(DataError, match="no condition.actions"):
        probe(pairs._replace(condition=Condition()))
    with pytest.raises(DataError, match="this probe has 3 actions"):
        probe(pairs._replace(condition=Condition(actions=torch.full((2, 2), 3))))
    with pytest.raises(DataError, match="3 channels"):
        probe.predict(clips.x.expand(-1, 3, -1, -1, -1))
