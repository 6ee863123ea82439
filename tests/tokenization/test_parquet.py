"""Parquet shards: their columns, lists of one or of any size, and the same bytes for the same rows."""

import dataclasses

import numpy as np
import pyarrow.parquet
import pytest

from vqvae.data.records.base import BadRecord
from vqvae.tokenization import parquet
from vqvae.tokenization.parquet import give_sizes, has_sizes, read_parquet_outcome, write_parquet
from vqvae.tokenization.rows import Row

RNG = np.random.default_rng(0)


def rows(*widths, label=None, actions=None):
    return [
        Row(number, f"n{number}", (RNG.integers(0, 8, (1, 2, width), dtype=np.uint8),), (4, 2 * width), label, actions)
        for number, width in enumerate(widths)
    ]


def test_columns_hold_what_rows_hold(make_job, tmp_path):
    plan = dataclasses.replace(make_job().plan, labels="text", has_actions=True, axes=("time", "width"))
    written = rows(3, 3, 3, label="cat", actions=(1, 2))
    outcome = write_parquet(tmp_path / "a.parquet", iter([written[0], BadRecord("b", "bad"), *written[1:]]), plan, 4)
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["id", "codes", "shape", "size", "label", "length", "actions"]
    assert table.schema.field("codes").type == pyarrow.list_(pyarrow.uint8(), 6)
    for found, row in zip(table.to_pylist(), written, strict=True):
        assert found == {
            **{"id": row.id, "codes": row.codes[0].ravel().tolist(), "shape": [1, 2, 3], "size": [4, 6]},
            **{"label": "cat", "length": 4, "actions": [1, 2]},
        }
    assert outcome.items == 3 and read_parquet_outcome(tmp_path / "a.parquet", plan, 4) == outcome
    assert read_parquet_outcome(tmp_path / "a.parquet", plan, 3) is None


def test_several_levels_have_columns_of_their_own(make_job, tmp_path):
    plan = dataclasses.replace(make_job().plan, layout=((1, 8), (2, 300)))
    codes = (np.full((1, 1, 2), 7, np.uint8), np.full((2, 2, 4), 299, np.uint16))
    write_parquet(tmp_path / "a.parquet", iter([Row(0, "x", codes, (4, 8), None, None)]), plan, 0)
    (found,) = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert found["codes"] == [7, 7] and found["codes.1"] == [299] * 16 and found["shape.1"] == [2, 2, 4]


@pytest.mark.parametrize("at_once", [2, 100])
def test_other_shapes_make_lists_of_any_size(at_once, make_job, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_ROWS", at_once)
    plan, path = make_job().plan, tmp_path / "a.parquet"
    written = rows(3, 3, 3, 3, 1, 3)
    assert write_parquet(path, iter(written), plan, 0).shapes is None and has_sizes(path, None)
    assert [found["codes"] for found in pyarrow.parquet.read_table(path).to_pylist()] == [row.codes[0].ravel().tolist() for row in written]
    assert [one.name for one in tmp_path.iterdir()] == ["a.parquet"]


def test_lists_get_and_lose_a_size(make_job, tmp_path):
    plan, path, new, back = make_job().plan, tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "c.parquet"
    outcome = write_parquet(path, iter(rows(3, 3)), plan, 0)
    assert has_sizes(path, outcome.shapes) and not has_sizes(path, None) and not has_sizes(path, ((1, 2, 2),))
    give_sizes(path, new, plan, None)
    assert has_sizes(new, None) and read_parquet_outcome(new, plan, 0) == outcome
    give_sizes(new, back, plan, outcome.shapes)
    assert back.read_bytes() == path.read_bytes()
    write_parquet(path, iter([BadRecord("x", "bad")]), plan, 0)
    give_sizes(path, new, plan, ((1, 2, 3),))
    assert has_sizes(new, ((1, 2, 3),)) and pyarrow.parquet.read_table(new).num_rows == 0


def test_missing_damaged_and_strange_files_have_no_outcome(make_job, tmp_path):
    plan, path = make_job().plan, tmp_path / "a.parquet"
    assert read_parquet_outcome(path, plan, 0) is None
    write_parquet(path, iter(rows(3)), plan, 0)
    path.write_bytes(path.read_bytes()[:-9])
    assert read_parquet_outcome(path, plan, 0) is None
    pyarrow.parquet.write_table(pyarrow.table({"x": [1]}), path)
    assert read_parquet_outcome(path, plan, 0) is None
