"""Rows of tables as records."""

import pickle

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from vqvae.data.records.base import BadRecord, Encoded
from vqvae.data.records.tables import TableRecords
from vqvae.errors import ConfigError, DataError


def write(path, **columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def test_rows_of_several_files_are_items(tmp_path):
    for name, first in (("a", 0), ("b", 3)):
        contents = [bytes([first + number]) for number in range(3)]
        write(tmp_path / f"{name}.parquet", image=contents, label=["x", "y", None], actions=[[first], [1, 2], []])
    records = pickle.loads(pickle.dumps(TableRecords(tmp_path, ["a.parquet", "b.parquet"])))
    assert records.facts.items == 6 and records.facts.labels == "text" and records.facts.has_actions
    found = list(records.read(1, 5))
    assert [record.id for record in found] == ["a.parquet#1", "a.parquet#2", "b.parquet#0", "b.parquet#1"]
    assert [record.data for record in found] == [Encoded(bytes([number]), "") for number in (1, 2, 3, 4)]
    assert [record.label for record in found] == ["y", None, "x", "y"] and [record.actions for record in found][2:] == [(3,), (1, 2)]


def test_pictures_of_datasets_and_lists_of_numbers(tmp_path):
    write(tmp_path / "a.parquet", image=[{"bytes": b"x", "path": "0.jpg"}, {"bytes": None, "path": "1.jpg"}])
    good, bad = TableRecords(tmp_path, ["a.parquet"]).read(0, 2)
    assert good.data == Encoded(b"x", "0.jpg") and isinstance(bad, BadRecord) and bad.id == "a.parquet#1"
    write(tmp_path / "b.parquet", wave=[[0.5, 0.25], None])
    good, bad = TableRecords(tmp_path, ["b.parquet"]).read(0, 2)
    assert np.array_equal(good.data, [0.5, 0.25]) and isinstance(bad, BadRecord)


def test_columns_are_chosen_or_asked_for(tmp_path):
    write(tmp_path / "a.parquet", one=[b"1"], two=[b"2"], kind=[3])
    with pytest.raises(ConfigError, match=r"several columns.*one \(bytes\), two \(bytes\), kind \(int\).*--column"):
        TableRecords(tmp_path, ["a.parquet"])
    (record,) = TableRecords(tmp_path, ["a.parquet"], column="two", label_column="kind").read(0, 1)
    assert record.data == Encoded(b"2", "") and record.label == 3
    for arguments in ({"column": "kind"}, {"column": "none"}, {"column": "one", "label_column": "two"}):
        with pytest.raises(ConfigError, match="it has one"):
            TableRecords(tmp_path, ["a.parquet"], **arguments)
    write(tmp_path / "b.parquet", number=[1])
    with pytest.raises(ConfigError, match="no column with bytes"):
        TableRecords(tmp_path, ["b.parquet"])
    with pytest.raises(DataError, match="other columns"):
        TableRecords(tmp_path, ["a.parquet", "b.parquet"], column="one")


def test_a_damaged_page_makes_bad_items(tmp_path):
    contents = [np.random.default_rng(number).bytes(3000) for number in range(100)]
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"image": contents}), path, row_group_size=10, compression="gzip", use_dictionary=False)
    records = TableRecords(tmp_path, ["a.parquet"])
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 2000] = bytes(2000)
    path.write_bytes(damaged)
    found = list(records.read(20, 90))
    assert [record.id for record in found] == [f"a.parquet#{number}" for number in range(20, 90)]
    bad = [record for record in found if isinstance(record, BadRecord)]
    assert bad and found[0].data.content == contents[20] and all("a.parquet" in record.error for record in bad)
