"""The order of positions, and its groups."""

import numpy as np
import pytest

from vqvae.layers.spread import cosine_groups, spread_order


@pytest.mark.parametrize("space", [(1, 1), (1, 9), (7, 1), (3, 4), (21, 21), (32, 48), (0, 4)])
def test_every_position_comes_once(space: tuple[int, int]) -> None:
    assert sorted(spread_order(*space).tolist()) == list(range(space[0] * space[1]))


@pytest.mark.parametrize("known", [9, 36, 120, 220])
def test_every_beginning_is_spread_evenly(known: int) -> None:
    shown = np.zeros(21 * 21, bool)
    shown[spread_order(21, 21)[:known]] = True
    ninths = shown.reshape(3, 7, 3, 7).sum((1, 3))
    assert ninths.max() - ninths.min() <= 4


def test_early_positions_are_no_neighbours() -> None:
    rows, columns = np.divmod(spread_order(21, 21)[:74], 21)
    apart = np.maximum(abs(rows[:, None] - rows), abs(columns[:, None] - columns)) + 21 * np.eye(74, dtype=int)
    assert apart.min() >= 2


@pytest.mark.parametrize(("positions", "passes"), [(441, 8), (441, 1), (441, 441), (5, 8), (1, 1), (0, 3), (12, 11)])
def test_groups_cover_all_positions_in_so_many_passes(positions: int, passes: int) -> None:
    groups = cosine_groups(positions, passes)
    assert len(groups) == min(positions, passes)
    assert [i for group in groups for i in range(group.start, group.stop)] == list(range(positions))
    assert all(group.start < group.stop for group in groups)


def test_groups_grow() -> None:
    sizes = [group.stop - group.start for group in cosine_groups(441, 8)]
    assert sizes == sorted(sizes) and sizes[0] == 8 and sizes[-1] > 80
