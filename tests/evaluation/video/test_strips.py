"""Strips and loops of clips for the report."""

import dataclasses

import numpy as np
import pytest

import vqvae
from tests.evaluation.video.test_scores import held_out, pipeline
from tests.models import toy
from vqvae.data import ClipsDataset
from vqvae.data.rollouts import Rollouts
from vqvae.errors import DataError
from vqvae.evaluation.video.strips import IMAGINED, shown
from vqvae.models import FrameTokenizer, VQVAEConfig


def with_engine(lengths: tuple[int, int]) -> tuple[ClipsDataset, list]:
    """Clips with an engine that goes on with black frames, and its calls."""
    asked = []

    def engine(starts: list, actions: list, steps: int) -> Rollouts:
        asked.append((starts, list(actions), steps))
        shape = (len(starts), len(actions))
        return Rollouts(np.zeros((*shape, steps, 1, 2, 4), np.uint8), np.zeros((*shape, steps, 0), np.float32), np.array([lengths]))

    data = held_out((20, 5))
    return ClipsDataset(dataclasses.replace(data.episodes, engine=engine), 3, "held-out"), asked


def test_each_action_is_held_and_the_engine_goes_on_below() -> None:
    data, asked = with_engine((IMAGINED, 3))
    found = shown(pipeline(), data)
    assert asked == [([(0, 6)], ["left", "right"], IMAGINED)]
    assert list(found.animations["moving_imagination"]) == ["recorded actions", "left", "right"]
    assert "in the engine" in found.captions["moving_imagination"]
    # Real frames lie below imagined ones, so that the loop is twice as high.
    assert {loop.height for loop in found.animations["moving_imagination"].values()} == {12}
    assert len(found.animations["moving_reconstructions"]) == 2


def test_an_engine_that_fails_leaves_a_report_without_its_frames() -> None:
    def engine(*_: object) -> Rollouts:
        raise DataError("It is not installed.")

    data = held_out((20, 5))
    broken = ClipsDataset(dataclasses.replace(data.episodes, engine=engine), 3, "held-out")
    found = shown(pipeline(), broken)
    assert "in the engine" not in found.captions["moving_imagination"]
    heights = {name: loop.height for name, loop in found.animations["moving_imagination"].items()}
    assert heights == {"recorded actions": 12, "left": 6, "right": 6}


@pytest.mark.parametrize("actions", [0, 2])
def test_without_an_engine_what_followed_is_shown(actions: int) -> None:
    found = shown(pipeline(actions), held_out((9, 5)))
    name = "recorded actions" if actions else "imagined"
    assert found.animations["moving_imagination"][name].height == 12 and "imagined" in found.pictures


def test_without_a_prior_only_reconstructions_move() -> None:
    found = shown(vqvae.Pipeline(FrameTokenizer(toy.make(VQVAEConfig))), held_out((4,)))
    assert list(found.animations) == ["moving_reconstructions"] and list(found.pictures) == ["reconstructions"]
