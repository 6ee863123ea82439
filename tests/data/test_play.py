"""How actions are chosen, and what is kept of ``info``. Whole episodes are played in the tests of ``gym``."""

import itertools
import subprocess
import sys

import numpy as np

from vqvae.data.play import _choices, _line, _Ordered, _parts, _pose, _seed


def choose(count, *arguments):
    return list(itertools.islice(_choices(*arguments), count))


def test_random_actions_are_those_of_their_seed_and_all_come():
    assert choose(200, "a", [1, 4, 6], 0.0) == choose(200, "a", [1, 4, 6], 0.0) != choose(200, "b", [1, 4, 6], 0.0)
    assert set(choose(200, "a", [1, 4, 6], 0.0)) == {1, 4, 6}


def test_persistence_is_how_often_an_action_is_kept():
    for persistence in (0.0, 0.5, 0.9):
        actions = np.array(choose(5000, "a", list(range(10)), persistence))
        # A new action is the old one in one of ten cases.
        assert abs((np.diff(actions) == 0).mean() - (persistence + (1 - persistence) / 10)) < 0.03


def test_a_script_is_repeated():
    assert choose(7, "a", [2, 2, 0], None) == [2, 2, 0, 2, 2, 0, 2]


def test_only_numbers_of_moderate_size_are_kept():
    info = {"b": np.array([1.5, 2.0]), "a": True, "text": "no", "map": np.zeros((5, 5), np.int8), "huge": np.zeros(2**17), "no name": 1}
    assert _pose(info) == {"a": 1.0, "b_0": 1.5, "b_1": 2.0}
    assert [name for name, _ in _parts(info)] == ["a", "b", "map"]
    assert _pose({"ragged": [[1], [1, 2]], "empty": [], "none": None}) == {}


def test_an_ordered_set_keeps_the_order_of_what_is_added():
    things = _Ordered()
    for thing in (object(), object(), object()):
        things.add(thing)
    first, second, third = things
    things.remove(second)
    things.add(first)
    assert list(things) == [first, third]


def test_episodes_of_a_row_have_their_own_seeds():
    assert _seed("7", 0) == _seed("7", 0) != _seed("7", 1)
    assert all(0 <= _seed(str(row), 0) < 2**31 for row in range(50))


def test_words_of_an_environment_become_one_line():
    assert _line(ValueError("first.\nsecond")) == "first" and _line(ValueError()) == "ValueError"


def test_no_environment_is_imported_with_the_rest():
    code = "import sys, vqvae.data, vqvae.data.play; sys.exit(bool({'gymnasium', 'crafter', 'ale_py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
