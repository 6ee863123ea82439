"""Sides and classes of items in shards."""

import numpy as np
import pytest

from tests.data.shards import samples, write_tar
from vqvae.data.shard_sides import open_shards
from vqvae.errors import DataError

CONTENTS = [bytes([number, 1]) for number in range(40)]


def open_here(place, tmp_path):
    return open_shards(str(place), (".png",), cache=str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("files", "train", "held_out"),
    [
        (("train/a.tar", "test/a.tar"), [10, 20], [0, 10]),
        (("x-train-0.tar", "x-val-0.tar"), [0, 10], [10, 20]),
        (("TRAIN_1.tar", "sub/dev_1.tar"), [0, 10], [10, 20]),
        (("train/test-0.tar", "val/train-0.tar"), [0, 10], [10, 20]),
    ],
)
def test_names_say_the_sides(tmp_path, files, train, held_out):
    order = sorted(files)
    for file in files:
        first = 10 * order.index(file)
        write_tar(tmp_path / "data" / file, samples(CONTENTS[first : first + 10]))
    found = open_here(tmp_path / "data", tmp_path)
    assert found.train.tolist() == list(range(*train)) and found.held_out.tolist() == list(range(*held_out)) and found.words


def test_words_inside_other_words_are_no_sides(tmp_path):
    for number, name in enumerate(("trainer-0.tar", "latest-0.tar")):
        write_tar(tmp_path / "data" / name, samples(CONTENTS[20 * number : 20 * number + 20]))
    found = open_here(tmp_path / "data", tmp_path)
    assert len(found.train) + len(found.held_out) == 40 and not found.words


def test_items_without_bytes_are_on_no_side(tmp_path):
    write_tar(tmp_path / "a.tar", [("x.txt", b"1"), *samples(CONTENTS)])
    found = open_here(tmp_path / "a.tar", tmp_path)
    assert sorted([*found.train, *found.held_out]) == list(range(1, 41))
    assert found.train.dtype == np.uint32
    write_tar(tmp_path / "b.tar", [("x.txt", b"1"), ("y.png", b"2")])
    with pytest.raises(DataError, match="b.tar has 1 examples; at least 2"):
        open_here(tmp_path / "b.tar", tmp_path)


def test_labels_are_classes_if_it_makes_sense(tmp_path):
    write_tar(tmp_path / "a.tar", samples(CONTENTS, [number % 4 for number in range(40)]))
    found = open_here(tmp_path / "a.tar", tmp_path)
    assert found.classes(None) == found.classes(True) == ("0", "1", "2", "3") and found.classes(False) == ()
    write_tar(tmp_path / "b.tar", samples(CONTENTS, range(40)))
    assert open_here(tmp_path / "b.tar", tmp_path).classes(None) == ()
    assert len(open_here(tmp_path / "b.tar", tmp_path).classes(True)) == 40
