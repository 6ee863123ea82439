import numpy as np
import pytest

from vqvae.data.split import is_held_out, split_by_digests, split_of_any_size
from vqvae.errors import DataError


def test_the_rule_never_changes():
    # Written down from one run: a change of the rule would mix what other runs held out into what they trained on.
    held_out = [key for key in (f"class/{number:03d}.png" for number in range(100)) if is_held_out(key)]
    assert held_out == ["class/000.png", "class/024.png", "class/034.png", "class/049.png", "class/066.png"]


def test_about_a_twentieth_is_held_out():
    assert 450 < sum(is_held_out(str(row)) for row in range(10_000)) < 550


def test_adding_examples_moves_none():
    keys = [f"{number}.png" for number in range(0, 400, 2)]
    more = sorted(keys + [f"{number}.png" for number in range(1, 400, 2)])
    held_out = {keys[row] for row in split_of_any_size(keys, "here")[1]}
    held_out_of_more = {more[row] for row in split_of_any_size(more, "here")[1]}
    assert held_out == held_out_of_more & set(keys)


def test_both_sides_are_ascending_and_complete():
    train, held_out = split_of_any_size([str(row) for row in range(300)], "here")
    assert sorted([*train, *held_out]) == list(range(300))
    assert (train[1:] > train[:-1]).all() and (held_out[1:] > held_out[:-1]).all()


def test_a_small_set_has_both_sides_and_a_large_one_is_split_as_ever():
    keys = [f"{number}.wav" for number in range(300)]
    for side, rows in zip((False, True), split_of_any_size(keys, "here"), strict=True):
        assert rows.tolist() == [row for row, key in enumerate(keys) if is_held_out(key) is side]
    for held in (True, False):
        few = [key for key in keys if is_held_out(key) is held][:5]
        train, held_out = split_of_any_size(few, "here")
        assert sorted([*train, *held_out]) == list(range(5))
        assert len(train if held else held_out) == 1
    # The same one, in whatever order they come.
    train, held_out = split_of_any_size(few[::-1], "here")
    assert few[::-1][held_out[0]] == few[split_of_any_size(few, "here")[1][0]]
    with pytest.raises(DataError, match="/sounds has 1 examples; at least 2"):
        split_of_any_size(["a"], "/sounds")


def test_equal_digests_are_on_one_side():
    digests = np.random.default_rng(0).integers(0, 2**64, 5_000, dtype=np.uint64)
    held_out = split_by_digests(np.concatenate([digests, digests[::-1]]), "here")
    assert 200 < held_out[:5_000].sum() < 300 and (held_out[:5_000] == held_out[5_000:][::-1]).all()
    assert (held_out[:5_000] == (digests < 0.05 * 2**64)).all()
    few = split_by_digests(np.array([2**63, 2**63 + 2**62, 2**63], np.uint64), "here")
    assert few.tolist() == [True, False, True]


@pytest.mark.parametrize(("count", "words"), [(0, "0 examples"), (1, "1 examples"), (3, "3 examples, all the same")])
def test_digests_need_two_different_examples(count, words):
    with pytest.raises(DataError, match=f"here has {words}; at least 2 different"):
        split_by_digests(np.full(count, 7, np.uint64), "here")
