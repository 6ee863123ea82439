"""What a place holds is found by looking at it."""

import json
import tarfile

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from vqvae.data.records.found import Shards, find_records, find_shards
from vqvae.errors import ConfigError, DataError

SUFFIXES = (".png", ".jpg")


def test_each_kind_of_place(tmp_path):
    (tmp_path / "files" / "cat").mkdir(parents=True)
    for name in ("files/cat/1.PNG", "files/notes.txt", "single.jpg"):
        (tmp_path / name).write_text("x")
    np.save(tmp_path / "x.npy", np.zeros((5, 2)))
    for folder in ("tables", "tars"):
        (tmp_path / folder).mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"image": [b"1", b"2"]}), tmp_path / "tables" / "b.parquet")
    with tarfile.open(tmp_path / "tars" / "a.tar", "w") as tar:
        tar.add(tmp_path / "single.jpg", "0.jpg")
    datasets.Dataset.from_dict({"image": [b"1", b"2", b"3"], "label": [0, 1, 0]}).save_to_disk(tmp_path / "saved")
    places = {
        "files": ("files", 1),
        "single.jpg": ("files", 1),
        "x.npy": ("rows of an array", 5),
        "tables": ("rows of tables", 2),
        "tables/b.parquet": ("rows of tables", 2),
        "tars": ("samples of tars", 1),
        "tars/a.tar": ("samples of tars", 1),
        "saved": ("rows of tables", 3),
    }
    for name, (kind, items) in places.items():
        records = find_records(tmp_path / name, SUFFIXES)
        assert (records.facts.kind, records.facts.items) == (kind, items), name
        assert len(list(records.read(0, items))) == items, name
    assert [record.label for record in find_records(tmp_path / "saved", SUFFIXES).read(0, 3)] == [0, 1, 0]
    assert find_records(tmp_path / "files", SUFFIXES, known=("dog", "cat")).facts.label_names == ("dog", "cat")
    with pytest.raises(ConfigError, match="have no columns"):
        find_records(tmp_path / "files", SUFFIXES, column="image")


def test_what_cannot_be_tokenized_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    for place, words in (("none", "There is no file or folder"), ("empty", r"no files of .parquet, .tar, .png, .jpg")):
        with pytest.raises(DataError, match=words):
            find_records(tmp_path / place, SUFFIXES)
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(DataError, match="a.csv is none of"):
        find_records(tmp_path / "a.csv", SUFFIXES)
    for name in ("1.png", "2.png", "3.tar"):
        (tmp_path / "empty" / name).write_text("x")
    with pytest.raises(DataError, match=r"several kinds \(1 tar, 2 png\)"):
        find_records(tmp_path / "empty", SUFFIXES)


def test_saved_data_sets_with_splits_or_damage(tmp_path):
    split = datasets.Dataset.from_dict({"image": [b"1"]})
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"the splits test, train"):
        find_records(tmp_path / "saved", SUFFIXES)
    state = tmp_path / "saved" / "train" / "state.json"
    for text, words in (("{}", "names no data files"), (json.dumps({"_data_files": [{"filename": "../x.arrow"}]}), "not in this folder")):
        state.write_text(text)
        with pytest.raises(DataError, match=words):
            find_records(state.parent, SUFFIXES)
    state.write_text("{")
    with pytest.raises(ConfigError, match="JSON"):
        find_records(state.parent, SUFFIXES)


def test_shards_are_found_by_what_a_place_holds(tmp_path):
    for name in ("tars/b.tar", "tars/a/1.TAR", "tables/b.parquet", "tables/a.parquet", "none/1.png", "arrow/x.arrow"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    split = datasets.Dataset.from_dict({"image": [b"1"]})
    datasets.DatasetDict({"train": split, "test": split}).save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "train" / "cache-1.arrow").write_bytes(b"x")
    arrow = "data-00000-of-00001.arrow"
    for place, root, files, are_tars in (
        ("tars", "tars", ("a/1.TAR", "b.tar"), True),
        ("tars/b.tar", "tars", ("b.tar",), True),
        ("tables", "tables", ("a.parquet", "b.parquet"), False),
        ("tables/b*.parquet", "tables", ("b.parquet",), False),
        ("saved", "saved", (f"test/{arrow}", f"train/{arrow}"), False),
        ("saved/train", "saved/train", (arrow,), False),
        ("arrow", "arrow", ("x.arrow",), False),
    ):
        assert find_shards(tmp_path / place) == Shards(tmp_path / root, files, are_tars), place
    for place in ("none", "nowhere", "none/1.png", "none/*.tar", "tables/c*.parquet"):
        assert find_shards(tmp_path / place) is None, place
    (tmp_path / "tars" / "c.parquet").write_bytes(b"x")
    with pytest.raises(DataError, match=r"several kinds \(2 [tT][aA][rR], 1 parquet\)"):
        find_shards(tmp_path / "tars")
