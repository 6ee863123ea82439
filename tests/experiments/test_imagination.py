"""E10: imagination scored against the engine."""

import numpy as np
import torch

from tests.evaluation.video.test_position import walked
from tests.evaluation.video.test_rollouts import rollouts
from vqvae.data.episodes import ClipsDataset, Episodes
from vqvae.evaluation.probes.dynamics import InverseDynamicsConfig
from vqvae.experiments.imagination import score_held_out, score_poses, strips
from vqvae.experiments.reproduce import EXPERIMENTS


def walk(pose_names: tuple[str, ...]) -> ClipsDataset:
    """Crafter's player goes left for ten steps; the angle grows by 3 with each."""
    clips, places = walked([1, 1, 0, 2, 1] * 2)
    angle = 3.0 * (clips.shape[2] - torch.arange(clips.shape[2]))[:, None]
    episodes = Episodes(
        frames=clips[0].transpose(0, 1).contiguous().numpy(),
        episode=np.zeros(clips.shape[2], np.int64),
        names=("walk",),
        actions=np.zeros(clips.shape[2], np.int64),
        action_names=("left", "right"),
        poses=torch.cat([places[0].float(), angle], 1).numpy()[:, : len(pose_names)],
        pose_names=pose_names,
    )
    return ClipsDataset(episodes, 2, "walk")


def test_poses_decide_what_is_scored() -> None:
    imagined = rollouts([1, 4])
    assert score_poses(imagined, walk(("player_pos_0", "player_pos_1")))["position_right_step_3"] == 1
    turning = imagined._replace(poses=torch.zeros(1, 2, 4, 3))
    found = score_poses(turning, walk(("x", "y", "angle")))
    assert found["rotation_engine_step 1"] == 0 and "rotation_r_squared" in found and "rotation_real_step 4" in found
    assert score_poses(imagined, walk(("x", "y"))) == {}


def test_held_out_steps_are_named_and_strips_show_both_sides() -> None:
    named = score_held_out(InverseDynamicsConfig(actions=2, width=4).build(), walk(("x",)), ("left", "right"))
    assert 0 <= named["action_named_held_out"] <= 1
    drawn = strips(rollouts([0, 1]))
    assert drawn.dtype == np.uint8 and drawn.shape[2] == 3 and drawn.shape[0] > 4 * 64


def test_a_run_of_the_recipe_is_the_run_of_the_experiment() -> None:
    assert EXPERIMENTS["e10"].run == "worlds-video" and EXPERIMENTS["e10"].settings is None
