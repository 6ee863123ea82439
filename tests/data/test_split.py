import pytest

from vqvae.data.split import is_held_out, split_by_hash, split_of_any_size
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
    held_out = {keys[row] for row in split_by_hash(keys, "here")[1]}
    held_out_of_more = {more[row] for row in split_by_hash(more, "here")[1]}
    assert held_out == held_out_of_more & set(keys)


def test_both_sides_are_ascending_and_complete():
    train, held_out = split_by_hash(map(str, range(300)), "here")
    assert sorted([*train, *held_out]) == list(range(300))
    assert (train[1:] > train[:-1]).all() and (held_out[1:] > held_out[:-1]).all()


@pytest.mark.parametrize(("held", "side"), [(False, "held out"), (True, "trained on")])
def test_an_empty_side_is_an_error_that_names_the_data(held, side):
    keys = [key for key in map(str, range(200)) if is_held_out(key) is held][:5]
    with pytest.raises(DataError, match=rf"/photos has 5 examples.*none to be {side}"):
        split_by_hash(keys, "/photos")


def test_a_small_set_has_both_sides_and_a_large_one_is_split_as_ever():
    keys = [f"{number}.wav" for number in range(300)]
    for rows, expected in zip(split_of_any_size(keys, "here"), split_by_hash(keys, "here"), strict=True):
        assert rows.tolist() == expected.tolist()
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
