import logging

import pytest

from vqvae.data.files import find_files
from vqvae.data.sides import HELD_OUT, class_names, find_sides
from vqvae.errors import DataError


def _sides(root, *files):
    """The sides as file names, with the words."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return find_sides(root, find_files(root))


def _inner(items):
    return None if items is None else [item.inner for item in items]


@pytest.mark.parametrize("held", [*HELD_OUT, "Test", "VALID"])
@pytest.mark.parametrize("train", ["train", "Train"])
def test_a_folder_with_the_name_of_a_side_is_held_out(tmp_path, train, held):
    sides = _sides(tmp_path, f"{train}/cat/1", f"{train}/dog/2", f"{held}/cat/3")
    assert (_inner(sides.train), _inner(sides.held_out)) == (["cat/1", "dog/2"], ["cat/3"])
    assert sides.words == f"Training on {train}/, holding out {held}/."
    assert [item.group for item in sides.train] == ["cat", "dog"]


def test_validation_comes_before_test_and_other_sides_and_folders_are_not_used(tmp_path):
    sides = _sides(tmp_path, "train/1", "test/2", "val/3", "dev/4", "unlabelled/5", "overview")
    assert (_inner(sides.train), _inner(sides.held_out)) == (["1"], ["3"])
    assert sides.words == "Training on train/, holding out val/; ignoring dev/, test/, unlabelled/, 1 loose file."


def test_a_side_to_hold_out_beside_anything_is_held_out(tmp_path):
    sides = _sides(tmp_path / "classes", "cat/1", "dog/2", "test/cat/3", "Eval/cat/4")
    assert (_inner(sides.train), _inner(sides.held_out)) == (["cat/1", "dog/2"], ["cat/4"])
    assert sides.words == "Holding out Eval/, training on everything else; ignoring test/."
    sides = _sides(tmp_path / "loose", "1", "2", "test/3")
    assert (_inner(sides.train), _inner(sides.held_out)) == (["1", "2"], ["3"])


@pytest.mark.parametrize("around", ["archive", "archive/cifar"])
def test_a_folder_around_everything_does_not_hide_the_sides(tmp_path, around):
    sides = _sides(tmp_path, f"{around}/train/cat/1", f"{around}/test/cat/2", f"{around}/readme")
    assert (_inner(sides.train), _inner(sides.held_out)) == (["cat/1"], ["cat/2"])


def test_sides_inside_of_groups(tmp_path):
    sides = _sides(tmp_path, "bottle/train/1", "bottle/test/2", "cable/train/3", "cable/test/4")
    assert (_inner(sides.train), _inner(sides.held_out)) == (["bottle/1", "cable/3"], ["bottle/2", "cable/4"])


def test_train_is_a_class_beside_other_classes_where_nothing_is_held_out(tmp_path):
    """CIFAR-100 has a class of this name."""
    sides = _sides(tmp_path / "flat", "apple/1", "train/2", "wolf/3")
    assert (_inner(sides.train), sides.held_out) == (["apple/1", "train/2", "wolf/3"], None)
    assert "Taking train/ for a class or speaker like apple/, wolf/" in sides.words
    sides = _sides(tmp_path / "split", "train/apple/1", "train/train/2", "test/train/3")
    assert (_inner(sides.train), _inner(sides.held_out)) == (["apple/1", "train/2"], ["train/3"])


def test_train_alone_is_the_data_set(tmp_path):
    sides = _sides(tmp_path, "train/cat/1", "train/dog/2", "overview")
    assert (_inner(sides.train), sides.held_out) == (["cat/1", "dog/2"], None)
    assert sides.words == "Training on train/, holding out 5 % of it; ignoring 1 loose file."
    assert [_inner(side) for side in sides.split("here")] in ([["cat/1"], ["dog/2"]], [["dog/2"], ["cat/1"]])


def test_folders_of_other_names_are_no_sides(tmp_path):
    files = ("cat/1", "dog/test1/2", "latest/3", "test")
    sides = _sides(tmp_path, *files)
    assert (_inner(sides.train), sides.held_out, sides.words) == (sorted(files), None, "")
    assert find_sides(tmp_path, []).train == ()


def test_nothing_to_train_on_and_nothing_to_hold_out_are_explained(tmp_path):
    with pytest.raises(DataError, match="no train/ beside it"):
        _sides(tmp_path / "one", "test/1", "val/2")
    (tmp_path / "two" / "val").mkdir(parents=True)
    with pytest.raises(DataError, match="val should be held out, but it holds no files"):
        _sides(tmp_path / "two", "train/1")


def test_a_line_is_never_too_long(tmp_path):
    sides = _sides(tmp_path, "train/1", "test/2", *(f"{letter * 60}/3" for letter in "abcdefg"))
    assert len(sides.words) <= 120 and sides.words.endswith("….")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("cat/1", "cat/2", "dog/3", "dog/4"), ("cat", "dog")),
        (("1", "2"), ()),
        (("cat/1", "cat/2", "dog/3", "dog/4", "5"), "5 lies in none"),
        (("cat/1", "cat/2"), "there is only one"),
        (("cat/1", "dog/2", "emu/3"), "they have fewer than two images each"),
        (("train/cat/1", "train/dog/2", "train/dog/3", "train/cat/4", "test/emu/5"), "emu/ has no images to train on"),
    ],
)
def test_sub_folders_are_classes_unless_something_speaks_against_it(tmp_path, caplog, files, expected):
    sides = _sides(tmp_path, *files)
    with caplog.at_level(logging.INFO):
        names = class_names(tmp_path, sides.train, sides.held_out or (), None)
    if isinstance(expected, str):
        assert names == () and caplog.messages == [f"The sub-folders are not taken for classes: {expected}."]
    else:
        assert names == expected and not caplog.messages
    assert class_names(tmp_path, sides.train, sides.held_out or (), False) == ()
