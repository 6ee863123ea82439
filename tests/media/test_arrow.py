"""Tables are read row by row, from Parquet and from Arrow files, and damage is an error of ours."""

from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from vqvae.errors import DataError
from vqvae.media.arrow import Column, open_table, read_rows, read_values

COLUMNS = {
    "content": pyarrow.array([bytes([number]) for number in range(200)]),
    "file": pyarrow.array([{"bytes": bytes([number]), "path": f"{number}.png"} for number in range(200)]),
    "values": pyarrow.array([[[number, 1], [2, 3]] for number in range(200)], pyarrow.list_(pyarrow.list_(pyarrow.int16(), 2))),
    "label": pyarrow.array(range(200)),
    "name": pyarrow.array([None if number == 7 else str(number) for number in range(200)]),
    "when": pyarrow.array([0.5] * 200),
}
TABLE = pyarrow.table(COLUMNS)


def parquet(path: Path) -> Path:
    pyarrow.parquet.write_table(TABLE, path, row_group_size=60)
    return path


def stream(path: Path) -> Path:
    with pyarrow.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=90)
    return path


def file(path: Path) -> Path:
    with pyarrow.ipc.new_file(path, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=90)
    return path


@pytest.mark.parametrize(("write", "name"), [(parquet, "a.parquet"), (stream, "a.arrow"), (file, "b.arrow")])
def test_rows_are_read_from_anywhere(write, name, tmp_path):
    path = write(tmp_path / name)
    table = open_table(path)
    assert table.rows == 200
    assert {name: column.kind for name, column in table.columns.items()} == {
        **{"content": "bytes", "file": "bytes", "values": "numbers", "label": "int", "name": "text", "when": "other"}
    }
    for start, stop in ((0, 200), (58, 62), (89, 91), (7, 8), (199, 200), (5, 5)):
        rows = list(read_rows(path, start, stop, ["label", "content", "values", "name", "file"]))
        assert [row["label"] for row in rows] == list(range(start, stop))
        assert [row["content"] for row in rows] == [bytes([number]) for number in range(start, stop)]
        assert [row["file"]["bytes"] for row in rows] == [bytes([number]) for number in range(start, stop)]
        for number, row in zip(range(start, stop), rows, strict=True):
            assert np.array_equal(row["values"], [[number, 1], [2, 3]])
            assert row["name"] == (None if number == 7 else str(number))


def test_ragged_and_missing_lists_are_none(tmp_path):
    table = pyarrow.table({"values": [[[1], [2]], [[1], [2, 3]], None, [[1], [None]], [[4], [5]]]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    rows = [row["values"] for row in read_rows(tmp_path / "a.parquet", 0, 5, ["values"])]
    assert rows[1:4] == [None, None, None] and rows[0].tolist() == [[1], [2]] and rows[4].tolist() == [[4], [5]]


def test_names_of_classes_are_those_that_datasets_stored(tmp_path):
    about = '{"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}'
    for text, names in ((about, ("cat", "dog")), ("[]", ()), ("{", ()), ('{"info": {"features": 3}}', ())):
        table = pyarrow.table({"label": [0, 1]}).replace_schema_metadata({"huggingface": text})
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
        assert open_table(tmp_path / "a.parquet").columns == {"label": Column("int", names)}


@pytest.mark.parametrize(("write", "name"), [(parquet, "a.parquet"), (stream, "a.arrow")])
def test_damage_is_an_error_that_names_the_file(write, name, tmp_path):
    path = write(tmp_path / name)
    content = path.read_bytes()
    for cut in (0, 10, len(content) // 2):
        path.write_bytes(content[:cut])
        with pytest.raises(DataError, match=name):
            open_table(path)
            list(read_rows(path, 0, 200, ["content"]))
    path.unlink()
    with pytest.raises(DataError, match=name):
        open_table(path)


def uncompressed(path: Path) -> Path:
    with pyarrow.ipc.new_file(path, TABLE.schema) as writer:
        writer.write_table(TABLE.slice(3), max_chunksize=90)
    return path


def packed(path: Path) -> Path:
    with pyarrow.ipc.new_stream(path, TABLE.schema, options=pyarrow.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(TABLE.slice(3), max_chunksize=90)
    return path


def sliced(path: Path) -> Path:
    pyarrow.parquet.write_table(TABLE.slice(3), path, row_group_size=60)
    return path


@pytest.mark.parametrize("column", ["content", "file"])
@pytest.mark.parametrize(
    ("write", "name", "is_plain"), [(sliced, "a.parquet", False), (uncompressed, "a.arrow", True), (packed, "b.arrow", False)]
)
def test_values_come_with_their_place_if_the_file_holds_them_as_they_are(write, name, is_plain, column, tmp_path):
    path = write(tmp_path / name)
    whole, found, labels = path.read_bytes(), [], []
    for values in read_values(path, column, "name"):
        assert (values.place is not None) == is_plain
        for start, stop in zip(values.starts.tolist(), values.starts.tolist()[1:], strict=False):
            found.append(bytes(values.data[start:stop]))
            if values.place is not None:
                assert whole[values.place + start : values.place + stop] == found[-1]
        labels += values.labels
    assert found == [bytes([number]) for number in range(3, 200)]
    assert labels == [None if number == 7 else str(number) for number in range(3, 200)]


def test_missing_values_are_marked(tmp_path):
    files = [{"bytes": b"a", "path": "1"}, {"bytes": None, "path": "2"}, None, {"bytes": b"", "path": "4"}]
    pyarrow.parquet.write_table(
        pyarrow.table({"file": files, "large": pyarrow.array([b"1", None, b"3", None], "large_binary")}), tmp_path / "a.parquet"
    )
    for column, missing in (("file", [False, True, True, False]), ("large", [False, True, False, True])):
        (values,) = read_values(tmp_path / "a.parquet", column)
        assert values.missing.tolist() == missing and values.labels == [None] * 4
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(DataError, match="b.parquet is damaged"):
        list(read_values(tmp_path / "b.parquet", "file"))
