import numpy as np
import pytest

from vqvae.codec.context import PLACES, Context, Padded, around, coordinates, given_rows, neighbours, place_axes


@pytest.mark.parametrize(("axes", "count"), [(0, 0), (1, 16), (2, 24), (3, 12 + 25), (4, 12 + 50)])
def test_neighbours_come_before_the_position(axes: int, count: int) -> None:
    found = [tuple(one) for one in neighbours(axes).tolist()]
    assert len(found) == len(set(found)) == count and all(one < (0,) * axes for one in found)


def test_the_window_of_a_level_above_is_whole() -> None:
    assert len(around(2)) == 9 and [0, 0] in around(2).tolist()


def test_a_padded_map_gives_the_codes_around_each_position() -> None:
    codes, offsets = np.arange(12).reshape(1, 3, 4), neighbours(2)
    padded, places = Padded((3, 4), offsets), coordinates((3, 4), np.arange(12))
    seen = padded.fill(codes)[padded.at(places)[:, None] + padded.offsets][..., 0]
    for (row, column), row_seen in zip(places.tolist(), seen.tolist(), strict=True):
        for (down, right), code in zip(offsets.tolist(), row_seen, strict=True):
            inside = 0 <= row + down < 3 and 0 <= column + right < 4
            assert code == (codes[0, row + down, column + right] + 1 if inside else 0)


def test_codes_above_are_those_over_the_same_data() -> None:
    context = Context((5, 5), [(3, 3)], [(8, 8), (4, 4)])
    filled = context.above[0].fill(np.arange(9).reshape(1, 3, 3))
    assert filled[context.nearest(0, np.arange(25)), 0].reshape(5, 5)[:, 0].tolist() == [1, 1, 4, 4, 7]


def test_rows_say_the_place_the_label_and_the_action_before_the_frame() -> None:
    context, every = Context((3, 1, 2), classes=3, actions=5), np.arange(6)
    rows, last = context.rows(every, 1, np.array([4])), 2 * PLACES
    assert rows[:2, :2].tolist() == [[0, PLACES], [0, PLACES + 16]]
    assert set(rows[:, 2].tolist()) == {last + 1} and (rows[:, 3] - last - 4).tolist() == [5, 5, 4, 4, 5, 5]
    unknown = context.rows(every, None, None)
    assert set(unknown[:, 2].tolist()) == {last + 3} and unknown.max() == given_rows(3, 3, 5) - 1


def test_time_is_no_place() -> None:
    assert Context((9,)).rows(np.arange(9), None, None).shape == (9, 0) and range(3)[place_axes(3)] == range(1, 3)
