"""Warping beside the textbook's loop over all pairs."""

import numpy as np
import pytest

from vqvae.evaluation.speech.warping import warp


def least(costs: np.ndarray) -> float:
    total = np.full((costs.shape[0] + 1, costs.shape[1] + 1), np.inf)
    total[0, 0] = 0
    for i, row in enumerate(costs):
        for j, cost in enumerate(row):
            total[i + 1, j + 1] = cost + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (5, 9), (9, 5), (30, 30), (40, 13)])
def test_the_path_is_the_cheapest_and_unbroken(shape: tuple[int, int]) -> None:
    for seed in range(5):
        costs = np.random.default_rng(seed).random(shape)
        path = warp(costs)
        assert costs[path.first, path.second].sum() == pytest.approx(least(costs))
        assert (path.first[0], path.second[0]) == (0, 0) and (path.first[-1], path.second[-1]) == (shape[0] - 1, shape[1] - 1)
        steps = np.diff(np.stack(path), axis=1)
        assert steps.min(initial=0) >= 0 and steps.max(initial=1) == 1 and (steps.sum(0) >= 1).all()


def test_equal_ways_take_the_shorter() -> None:
    path = warp(np.zeros((6, 6)))
    assert path.first.tolist() == path.second.tolist() == list(range(6))


def test_a_stretched_sequence_is_found() -> None:
    values = np.random.default_rng(0).random(50)
    slow = values.repeat(2)
    path = warp(np.abs(values[:, None] - slow[None]))
    assert path.second.tolist() == list(range(100)) and path.first.tolist() == [i // 2 for i in range(100)]
