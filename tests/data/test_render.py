"""How the explorer of rendered worlds walks; the pictures themselves are tested with ``worlds``."""

import math

import pytest

pytest.importorskip("vizdoom")

from vqvae.data import render
from vqvae.data.render import _BUTTONS, _FORWARD, _FORWARD_LEFT, _FORWARD_RIGHT, _LEFT, _RIGHT, _Explorer, _View


def view(*, left: float = 40.0, ahead: float = 40.0, right: float = 40.0, x: float = 0.0) -> _View:
    return _View(left, ahead, right, (x, 0.0))


def walk(seed: str, steps: int) -> list[int]:
    """Actions in the open, where every step gets somewhere."""
    explorer = _Explorer(seed)
    return [explorer.act(view(x=10.0 * step)) for step in range(steps)]


def test_a_walk_is_that_of_its_seed_and_mostly_ahead() -> None:
    assert walk("a", 300) == walk("a", 300) != walk("b", 300)
    actions = walk("a", 300)
    assert set(actions) == {_FORWARD, _FORWARD_LEFT, _FORWARD_RIGHT}
    assert actions.count(_FORWARD) > 150


@pytest.mark.parametrize(("left", "right", "expected"), [(30.0, 10.0, _FORWARD_LEFT), (10.0, 30.0, _FORWARD_RIGHT)])
def test_it_veers_to_the_open_side(left: float, right: float, expected: int) -> None:
    assert _Explorer("a").act(view(left=left, ahead=_Explorer.VEER - 1.0, right=right)) == expected


def test_before_a_wall_it_turns_on_the_spot_mostly_to_the_open_side_until_the_view_is_open() -> None:
    first = [_Explorer(str(seed)).act(view(left=30.0, ahead=1.0, right=5.0)) for seed in range(200)]
    assert set(first) == {_LEFT, _RIGHT} and first.count(_LEFT) > 130, "now and then the other way"
    explorer = _Explorer("a")
    turn = explorer.act(view(ahead=1.0))
    assert all(explorer.act(view(ahead=_Explorer.OPEN - 1.0)) == turn for _ in range(10))
    later = [explorer.act(view(ahead=_Explorer.OPEN + 1.0)) for _ in range(5)]
    assert any(action not in (_LEFT, _RIGHT) for action in later)


def test_a_full_turn_without_an_open_view_ends() -> None:
    explorer = _Explorer("a")
    turn = explorer.act(view(ahead=1.0))
    narrow = view(ahead=_Explorer.NEAR + 1.0)
    actions = [explorer.act(narrow) for _ in range(_Explorer.FULL_TURN + 5)]
    ended = next(number for number, action in enumerate(actions) if action != turn)
    assert ended in (_Explorer.FULL_TURN - 1, _Explorer.FULL_TURN) and actions[ended] in (_FORWARD_LEFT, _FORWARD_RIGHT)


def test_a_walk_that_gets_nowhere_is_blocked_whatever_it_sees() -> None:
    explorer = _Explorer("a")
    assert explorer.act(view()) in (_FORWARD, _FORWARD_LEFT, _FORWARD_RIGHT)
    assert explorer.act(view(x=_Explorer.STUCK / 2)) in (_LEFT, _RIGHT)


def test_every_action_has_its_buttons_and_left_is_against_right() -> None:
    assert set(_BUTTONS) == set(range(5))
    assert [_BUTTONS[left][1] for left in (_LEFT, _FORWARD_LEFT)] == [-1, -1]
    assert [_BUTTONS[right][1] for right in (_RIGHT, _FORWARD_RIGHT)] == [1, 1]
    assert math.isclose(render._RIGHT_EDGE - render._LEFT_EDGE, render._HEIGHT), "what is kept is square"


def test_numbers_between_two_ends_reach_both() -> None:
    explorer = _Explorer("a")
    assert {explorer._between(2, 6) for _ in range(500)} == {2, 3, 4, 5, 6}


def test_decisions_last_as_long_with_fewer_tics() -> None:
    for frame_skip, repeats in ((4, 1), (2, 2), (1, 4)):
        explorer = _Explorer("a", frame_skip)
        turn = explorer.act(view(ahead=1.0))
        assert turn in (_LEFT, _RIGHT)
        turns = [explorer.act(view(ahead=_Explorer.OPEN + 1.0)) for _ in range(20)].index(_FORWARD) + 1
        assert 2 * repeats <= turns <= 4 * repeats + repeats


def test_a_walk_from_a_standstill_is_not_blocked() -> None:
    explorer = _Explorer("c", 1)
    places = [0.0, 0.8, 2.3, 4.4, 7.0, 10.0]
    actions = [explorer.act(view(x=place)) for place in places]
    assert actions[:6] == [_FORWARD] * 6
    assert [explorer.act(view(x=10.0)) for _ in range(6)][-1] in (_LEFT, _RIGHT)
