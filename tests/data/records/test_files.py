"""Files of a folder as records."""

import pickle

import pytest

from vqvae.data.records.files import FileRecords
from vqvae.errors import DataError


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return sorted(names)


def test_each_file_is_an_item_with_its_folder_as_label(tmp_path):
    files = make(tmp_path, "cat/1.png", "dog/a/2.png", "train/dog/3.png")
    records = FileRecords(tmp_path, files)
    assert records.facts.items == 3 and records.facts.label_names == ("cat", "dog") and records.facts.labels == "int"
    found = list(pickle.loads(pickle.dumps(records)).read(0, 3))
    assert [(record.id, record.label) for record in found] == [("cat/1.png", 0), ("dog/a/2.png", 1), ("train/dog/3.png", 1)]
    assert [record.data.read_text() for record in found] == files
    assert [record.id for record in records.read(1, 2)] == ["dog/a/2.png"]


def test_a_model_that_knows_the_labels_numbers_them(tmp_path):
    files = make(tmp_path, "cat/1.png", "dog/2.png")
    assert FileRecords(tmp_path, files, ("dog", "bird", "cat")).facts.label_names == ("dog", "bird", "cat")
    assert [record.label for record in FileRecords(tmp_path, files, ("dog", "bird", "cat")).read(0, 2)] == [2, 0]
    assert FileRecords(tmp_path, files, ("dog",)).facts.label_names == ("cat", "dog")


def test_loose_files_have_no_labels(tmp_path):
    records = FileRecords(tmp_path, make(tmp_path, "1.png", "dog/2.png"))
    assert records.facts.labels == "" and [record.label for record in records.read(0, 2)] == [None, None]


def test_names_and_sizes_make_the_digest(tmp_path):
    before = FileRecords(tmp_path, make(tmp_path, "1.png", "2.png")).facts.digest
    assert FileRecords(tmp_path, ["1.png", "2.png"]).facts.digest == before
    assert FileRecords(tmp_path, ["1.png"]).facts.digest != before
    (tmp_path / "1.png").write_text("longer")
    assert FileRecords(tmp_path, ["1.png", "2.png"]).facts.digest != before
    with pytest.raises(DataError, match="cannot be read"):
        FileRecords(tmp_path, ["gone.png"])
