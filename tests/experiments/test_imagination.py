"""E10: imagination scored against the engine."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.evaluation.video.test_position import walked
from tests.evaluation.video.test_rollouts import rollouts
from tests.experiments.small import OPTIONS
from vqvae.codes import Level
from vqvae.data import GymConfig, WorldsConfig
from vqvae.data.episodes import ClipsDataset, Episodes
from vqvae.evaluation.probes.dynamics import InverseDynamicsConfig
from vqvae.experiments import imagination
from vqvae.experiments.imagination import COMPARED_STEPS, CRAFTER, ROLLOUTS, WORLDS, score_held_out, score_poses, strips
from vqvae.experiments.reproduce import EXPERIMENTS, reproduce
from vqvae.likelihoods import GaussianConfig
from vqvae.models import FrameTokenizerConfig, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes import RECIPES
from vqvae.training import TrainConfig


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


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few episodes of both engines, narrow networks and few steps."""
    pytest.importorskip("vizdoom")
    pytest.importorskip("crafter")
    for name in (WORLDS, CRAFTER):
        recipe = RECIPES[name]
        monkeypatch.setitem(
            RECIPES, name, dataclasses.replace(recipe, tokenizer=_small(recipe.tokenizer), prior=_small_prior(recipe.prior))
        )
    for name, value in {"MASKED_STEPS": 2, "PROBE_STEPS": 4, "CALIBRATED": 40}.items():
        monkeypatch.setattr(imagination, name, value)
    monkeypatch.setitem(COMPARED_STEPS, "cpu", 2)
    monkeypatch.setitem(ROLLOUTS, "cpu", 6)


def _small(tokenizer: Callable[[str | None], TrainConfig]) -> Callable[[str | None], TrainConfig]:
    def config(path: str | None) -> TrainConfig:
        whole = tokenizer(path)
        model = VQVAEConfig(
            quantizer=EMAQuantizerConfig(dim=4, codebook_size=8),
            likelihood=GaussianConfig(channels=3),
            encoder=ImageEncoderConfig(widths=(4, 4, 4), residual_blocks=1, residual_hidden=4),
            decoder=ImageDecoderConfig(widths=(4, 4, 4), residual_blocks=1, residual_hidden=4),
        )
        assert isinstance(whole.data, WorldsConfig | GymConfig)
        length = {"frames_per_episode": 24, "size": 32} if isinstance(whole.data, WorldsConfig) else {"steps": 24}
        data = dataclasses.replace(whole.data, episodes=3, **length)
        return TrainConfig(model=FrameTokenizerConfig(model=model), data=data, steps=2, batch_size=2, evaluate_every=0)

    return config


def _small_prior(prior: Callable[[Level, int], TrainConfig]) -> Callable[[Level, int], TrainConfig]:
    def config(level: Level, classes: int) -> TrainConfig:
        sizes = {"memory": 4, "width": 4, "blocks": 1, "layers": 1, "hidden": 4, "output_hidden": 4, "reach": 1}
        model = dataclasses.replace(prior(level, classes).model, **sizes)
        return TrainConfig(model=model, steps=2, batch_size=2, evaluate_every=0)

    return config


def test_one_call_goes_from_the_engines_to_the_table(small: None, tmp_path: Path) -> None:
    folders = {"data": str(tmp_path / "frames"), "results": tmp_path / "results", "runs": tmp_path / "runs"}
    record = reproduce("e10", "cpu", **folders, options=OPTIONS)
    assert {"bits_per_frame", "bits_saved_over_copy", "bits_per_frame_single", "action_named", "masked_action_named"} <= set(record)
    assert {"position_right_step_3", "bits_per_frame"} <= set(record[CRAFTER])
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"e10.md", "e10.json", "e10-worlds-video.png", "e10-crafter.png"}
