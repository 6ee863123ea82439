import json

import numpy as np
import pytest

from vqvae.data import spread_starts
from vqvae.data.rollouts import Rollouts, check_starts, kept_rollouts
from vqvae.errors import ConfigError, DataError

from .test_episodes import episodes


def test_starts_are_spread_over_the_episodes_and_have_their_context_before():
    starts = spread_starts(episodes(), 4, 3)
    assert starts[0] == (0, 3) and starts[-1] == (2, 9) and len(set(starts)) == 4
    assert all(3 <= frame <= episodes().lengths[number] for number, frame in starts)
    with pytest.raises(DataError, match="have 10 places with 3 frames before them; expected at least 11"):
        spread_starts(episodes(), 11, 3)


def test_actions_become_numbers_and_what_cannot_be_is_refused():
    assert check_starts(episodes(), [(0, 5), (2, 1)], ["wait", "left"], 4) == [2, 0]
    with pytest.raises(ConfigError, match="no action 'jump'; the actions are left, right, wait"):
        check_starts(episodes(), [(0, 1)], ["jump"], 4)
    for start in ((0, 6), (0, 0), (3, 1), (-1, 1)):
        with pytest.raises(ConfigError, match="there are 3 episodes of 2 to 9 frames"):
            check_starts(episodes(), [start], ["left"], 4)
    for starts, actions, frames in (([], ["left"], 1), ([(0, 1)], [], 1), ([(0, 1)], ["left"], 0)):
        with pytest.raises(ConfigError, match="Rollouts need at least 1 start, action and frame"):
            check_starts(episodes(), starts, actions, frames)


def test_rollouts_are_made_once_and_a_failure_leaves_nothing(tmp_path):
    calls = []

    def fill(folder):
        calls.append(folder)
        np.save(folder / "frames.npy", np.ones((1, 1, 2, 3, 4, 4), np.uint8))
        if len(calls) == 1:
            raise KeyboardInterrupt
        np.save(folder / "poses.npy", np.zeros((1, 1, 2, 3), np.float32))
        np.save(folder / "lengths.npy", np.full((1, 1), 2))

    task = [[(0, 1)], ["left"], 2]
    with pytest.raises(KeyboardInterrupt):
        kept_rollouts(tmp_path, "a", task, fill)
    found, again = (kept_rollouts(tmp_path, "a", json.loads(json.dumps(task)), fill) for _ in range(2))
    assert isinstance(found, Rollouts) and len(calls) == 2
    assert all(np.array_equal(one, other) for one, other in zip(found, again, strict=True)) and found.frames.all()
