"""Samples of WebDataset tars as records."""

import io
import pickle
import tarfile

import pytest

from vqvae.data.records.base import BadRecord, Encoded
from vqvae.data.records.tars import TarRecords
from vqvae.errors import DataError

SUFFIXES = (".png", ".npy")


def write(path, members, **settings):
    with tarfile.open(path, "w", **settings) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_samples_are_items_wherever_reading_starts(tmp_path):
    for number, form in ((0, tarfile.USTAR_FORMAT), (1, tarfile.PAX_FORMAT)):
        members = [(f"ü{'x' * 120}/{number}{i}.{kind}", f"{kind}{i}".encode()) for i in range(4) for kind in ("png", "txt")]
        write(tmp_path / f"{number}.tar", [("__meta__", b"x"), *members, ("README", b"no sample")], format=form)
    records = pickle.loads(pickle.dumps(TarRecords(tmp_path, ["0.tar", "1.tar"], SUFFIXES)))
    assert records.facts.items == 8 and records.facts.labels == ""
    found = list(records.read(2, 7))
    assert [record.id.rpartition("/")[2] for record in found] == ["02", "03", "10", "11", "12"]
    assert [record.data for record in found] == [Encoded(f"png{i}".encode(), "x.png") for i in (2, 3, 0, 1, 2)]
    assert found[0].id == f"0.tar/ü{'x' * 120}/02"


def test_labels_and_actions(tmp_path):
    write(tmp_path / "a.tar", [("0.png", b""), ("0.cls", b"3\n"), ("1.png", b""), ("1.cls", b"no"), ("2.png", b"")])
    one, two, three = TarRecords(tmp_path, ["a.tar"], SUFFIXES).read(0, 3)
    assert one.label == 3 and three.label is None and isinstance(two, BadRecord) and "'no'" in two.error
    write(tmp_path / "b.tar", [("0.npy", b""), ("0.json", b'{"label": "cat", "actions": [1, 2]}'), ("1.npy", b""), ("1.json", b"{")])
    one, two = TarRecords(tmp_path, ["b.tar"], SUFFIXES).read(0, 2)
    assert (one.label, one.actions) == ("cat", (1, 2)) and isinstance(two, BadRecord) and "JSON" in two.error


def test_samples_without_data_are_bad(tmp_path):
    write(tmp_path / "a.tar", [("0.txt", b""), ("1.seg.png", b"x")])
    one, two = TarRecords(tmp_path, ["a.tar"], SUFFIXES).read(0, 2)
    assert isinstance(one, BadRecord) and "txt" in one.error and two.data == Encoded(b"x", "x.seg.png")


def test_damaged_tars_are_errors_or_bad_items(tmp_path):
    write(tmp_path / "a.tar", [(f"{i}.png", bytes(1000)) for i in range(4)])
    records, content = TarRecords(tmp_path, ["a.tar"], SUFFIXES), (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[: 2 * 1536 + 700])
    found = list(records.read(0, 4))
    assert [type(record).__name__ for record in found] == ["Record", "Record", "BadRecord", "BadRecord"]
    (tmp_path / "a.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(DataError, match=r"a.tar cannot be read as a tar.*Unpack"):
        TarRecords(tmp_path, ["a.tar"], SUFFIXES)
    with pytest.raises(DataError, match=r"gone.tar cannot be read"):
        TarRecords(tmp_path, ["gone.tar"], SUFFIXES)
