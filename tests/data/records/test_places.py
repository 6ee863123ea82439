"""The places of items in tars, Parquet and Arrow files."""

import tarfile

import pytest

from tests.data.shards import samples, write_arrow, write_parquet, write_tar
from vqvae.data.records.places import Bad, Place, find_columns, table_places, tar_places
from vqvae.errors import ConfigError, DataError

CONTENTS = [bytes([number]) * (number + 1) for number in range(20)]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_of_tars_lie_where_it_says(form, tmp_path):
    members = [(f"{'long/' * 30}{name}", content) for name, content in samples(CONTENTS, list(range(20)))]
    write_tar(tmp_path / "a.tar", [("__meta__", b"x"), *members, ("README", b"no sample")], format=form)
    whole, found = (tmp_path / "a.tar").read_bytes(), list(tar_places(tmp_path / "a.tar", (".png",)))
    assert [place.content for place in found] == CONTENTS and [place.label for place in found] == list(range(20))
    assert [whole[place.offset : place.offset + len(place.content)] for place in found] == CONTENTS


def test_samples_without_data_are_bad(tmp_path):
    write_tar(tmp_path / "a.tar", [("0.txt", b"a"), ("1.png", b""), ("2.png", b"x"), ("2.json", b"{"), ("3.seg.png", b"y")])
    text, empty, label, good = tar_places(tmp_path / "a.tar", (".png",))
    assert "['txt']; one of .png" in text.error and "no bytes" in empty.error and "JSON" in label.error
    assert isinstance(good, Place) and good.content == b"y"


def test_sparse_members_are_bad(tmp_path):
    write_tar(tmp_path / "a.tar", [("0.png", b"x" * 512)])
    content = bytearray((tmp_path / "a.tar").read_bytes())
    content[156:157] = b"S"
    content[386:410] = b"00000000000\x0000000000000\x00"[:24]
    content[483:495] = b"00000001000\x00"
    content[148:156] = b" " * 8
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    (tmp_path / "a.tar").write_bytes(content)
    (found,) = tar_places(tmp_path / "a.tar", (".png",))
    assert isinstance(found, Bad) and "holes" in found.error


def test_damaged_tars_are_errors(tmp_path):
    write_tar(tmp_path / "a.tar", [(f"{number}.png", bytes(1000)) for number in range(4)])
    content = (tmp_path / "a.tar").read_bytes()
    for damaged in (content[: 2 * 1536 + 700], b"no tar" * 200, b"\x1f\x8b" + content):
        (tmp_path / "a.tar").write_bytes(damaged)
        with pytest.raises(DataError, match=r"a.tar cannot be read as a tar.*fetch it again"):
            list(tar_places(tmp_path / "a.tar", (".png",)))
    with pytest.raises(DataError, match=r"gone.tar cannot be read"):
        list(tar_places(tmp_path / "gone.tar", (".png",)))


def test_rows_of_tables(tmp_path):
    files = [None if number == 3 else {"bytes": content, "path": "x"} for number, content in enumerate(CONTENTS)]
    write_parquet(tmp_path / "a.parquet", image=files, label=[f"{number % 3}" for number in range(20)])
    write_arrow(tmp_path / "a.arrow", image=files, label=[f"{number % 3}" for number in range(20)])
    for name in ("a.parquet", "a.arrow"):
        columns = find_columns(tmp_path, [name], None, None)
        assert (columns.data, columns.label) == ("image", "label")
        found = list(table_places(tmp_path / name, columns))
        assert isinstance(found.pop(3), Bad)
        assert [place.content for place in found] == [*CONTENTS[:3], *CONTENTS[4:]]
        assert [place.label for place in found] == [f"{number % 3}" for number in range(20) if number != 3]
        assert all((place.offset is None) == (name == "a.parquet") for place in found)


def test_columns_that_are_not_there(tmp_path):
    write_parquet(tmp_path / "a.parquet", one=[b"1"], two=[b"2"], values=[[1, 2]])
    with pytest.raises(ConfigError, match=r"several columns.*one \(bytes\), two \(bytes\), values \(numbers\).*--data.column"):
        find_columns(tmp_path, ["a.parquet"], None, None)
    with pytest.raises(ConfigError, match=r"no column 'values' with bytes; it has one"):
        find_columns(tmp_path, ["a.parquet"], "values", None)
    with pytest.raises(ConfigError, match=r"no column 'kind' with whole numbers or text; it has one"):
        find_columns(tmp_path, ["a.parquet"], "one", "kind")
