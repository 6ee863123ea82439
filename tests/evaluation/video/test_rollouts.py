"""Imagination with an action held, scored against the engine."""

import numpy as np
import pytest
import torch

from tests.evaluation.video.test_position import walked
from tests.models import toy
from vqvae import Pipeline
from vqvae.data.episodes import Episodes
from vqvae.data.rollouts import Rollouts
from vqvae.errors import DataError
from vqvae.evaluation.probes.dynamics import InverseDynamicsConfig
from vqvae.evaluation.video.position import STEPS
from vqvae.evaluation.video.rollouts import Imagined, imagine_held, score_actions, score_distances, score_positions, score_rotation
from vqvae.evaluation.video.rotation import Calibration
from vqvae.models import FrameTokenizer, VQVAEConfig
from vqvae.priors import WorldPriorConfig

STARTS = ((0, 3), (1, 2), (1, 4))


def episodes() -> Episodes:
    random = np.random.default_rng(0)
    return Episodes(
        frames=random.integers(0, 256, (12, 1, 2, 4), dtype=np.uint8),
        episode=np.repeat([0, 1], 6),
        names=("a", "b"),
        actions=random.integers(0, 2, 12),
        action_names=("left", "right"),
        poses=np.arange(36, dtype=np.float32).reshape(12, 3),
        pose_names=("x", "y", "angle"),
    )


def test_each_action_is_held_after_each_start() -> None:
    prior = WorldPriorConfig(codebook_size=toy.SIZE, actions=2, memory=2, width=2, blocks=1, layers=1, hidden=2, output_hidden=2)
    pipeline, data = Pipeline(FrameTokenizer(toy.make(VQVAEConfig)), prior.build()), episodes()
    poses = np.zeros((3, 2, 4, 3), np.float32)
    real = Rollouts(np.ones((3, 2, 4, 1, 2, 4), np.uint8), poses, np.array([[4, 4], [4, 2], [4, 4]]))
    found = imagine_held(pipeline, data, real, STARTS, ("right", "left"), context=2)
    assert found.held == (1, 0) and found.made.shape == found.real.shape == (3, 2, 1, 4, 2, 4)
    assert torch.equal(found.known[0], torch.from_numpy(data.frames[2])) and found.there.sum() == 22
    assert data.poses is not None and found.poses[1, 0, :, 0].tolist() == [data.poses[7, 0], 0, 0, 0, 0]
    assert data.actions is not None
    known, before = torch.from_numpy(data.frames[1:3]).transpose(0, 1)[None], torch.from_numpy(data.actions[1:2])[None]
    alone = pipeline.imagine(known, torch.zeros(1, 4, dtype=torch.int64), before=before)
    assert torch.equal(found.made[:1, 1], alone)
    with pytest.raises(DataError, match="3 known frames"):
        imagine_held(pipeline, data, real, STARTS, ("right", "left"), context=3)


def rollouts(walks: list[int], poses: torch.Tensor | None = None, steps: int = 3) -> Imagined:
    """One start; each action is a step of Crafter's player, held."""
    views = [walked([step] * steps) for step in walks]
    clips, places = (torch.cat(side) for side in zip(*views, strict=True))
    frames = clips[None, :, :, 1:]
    there = torch.ones(1, len(walks), steps, dtype=torch.bool)
    poses = places[None].float() if poses is None else poses
    return Imagined(clips[:1, :, 0], frames, frames, there, poses, tuple(walks), tuple(f"step {step}" for step in walks))


def test_positions_count_where_the_engine_moves() -> None:
    right = rollouts([0, 1, 4])
    assert score_positions(right, (0, 1)) == {
        "position_rollouts_step_3": 2,
        "position_right_step_3": 1.0,
        "position_seen_step_3": 1.0,
    }
    wrong = right._replace(made=right.made[:, [0, 1, 1]])
    assert score_positions(wrong, (0, 1))["position_right_step_3"] == 0.5
    assert score_positions(rollouts([0]), (0, 1))["position_right_step_3"] is None


def test_positions_in_view_are_scored_apart_from_those_beyond() -> None:
    walk = rollouts([1, 2, 3], steps=5)
    made = walk.made.clone()
    made[0, 0, :, 4] = made[0, 0, :, 3]  # The first rollout imagines a wall after four steps.
    poses = walk.poses.clone()
    poses[0, 2, 5] = poses[0, 2, 4]  # The engine stops the third rollout after four steps.
    found = score_positions(walk._replace(made=made, poses=poses), (0, 1))
    assert found["position_right_step_3"] == 1 and found["position_rollouts_step_3"] == 3
    assert found["position_right_step_5"] == 0.5 and found["position_rollouts_step_5"] == 2
    assert found["position_free_step_5"] == pytest.approx(2 / 3)


def test_rotation_is_measured_in_imagined_and_in_real_frames() -> None:
    poses = torch.zeros(1, 2, 4, 3)
    poses[0, 0, :, 2] = torch.tensor([358.0, 2.0, 6.0, 10.0])
    given = rollouts([1, 0], poses)
    found = score_rotation(given, Calibration(4 / 7, 0.0, 1.0, 0.0, 0.3), angle=2)
    assert found["rotation_engine_step 1"] == pytest.approx(4) and found["rotation_engine_step 0"] == 0
    assert found["rotation_step 1"] == found["rotation_real_step 1"] == pytest.approx(4, abs=0.3)
    assert found["rotation_step 0"] == pytest.approx(0, abs=0.1) and STEPS[1] == (-1, 0)


def test_actions_and_distances_have_a_score_for_each_side() -> None:
    given = rollouts([0, 1, 2, 3])
    classifier = InverseDynamicsConfig(actions=5, width=4).build()
    named = score_actions(given, classifier)
    assert (
        named["action_named"] == named["action_named_real"] == pytest.approx(np.mean([named[f"action_named_step {i}"] for i in range(4)]))
    )
    found = score_distances(given, classifier.appearance, given.real)
    assert found["frechet_by_step"] == pytest.approx([0, 0, 0], abs=1e-4) and found["frechet_reconstructed_by_step"][0] < 1e-4
    assert found["rollouts"] == 4 and "only 4 rollouts" in found["warnings"][0]
    assert len(found["frechet_copy_by_step"]) == 3 and "frechet_ratio_step_3" in found
    moves = score_distances(given, classifier.motion, name="frechet_motion")
    assert moves["frechet_motion_by_step"] == pytest.approx([0, 0, 0], abs=1e-4) and moves["frechet_motion_copy_by_step"][2] > 1e-3
