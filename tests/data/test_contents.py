import json
import os
import shutil

import pytest

from vqvae.data import contents
from vqvae.data.contents import check_unchanged, content_name, read_contents
from vqvae.errors import DataError


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**12))  # The files of a test are always fresh.
    return tmp_path / "cache" / "vqvae" / "contents"


@pytest.fixture
def folder(tmp_path):
    for name in ("a", "b/c"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the bytes of {name}")
    return tmp_path / "data"


FILES = ("a", "b/c")


def _digests(folder, files=FILES):
    return {file: content.digest for file, content in read_contents(folder, files).items()}


def _reads(monkeypatch):
    read, original = [], contents._read
    monkeypatch.setattr(contents, "_read", lambda path: (read.append(path.name), original(path))[1])
    return read


def test_what_moved_is_the_same_and_what_changed_is_not(folder, tmp_path):
    before = _digests(folder)
    shutil.copytree(folder, tmp_path / "copy")
    assert _digests(tmp_path / "copy") == before
    folder.rename(tmp_path / "renamed")
    assert _digests(tmp_path / "renamed") == before
    (tmp_path / "copy" / "a").write_text("THE BYTES OF a")
    after = _digests(tmp_path / "copy")
    assert after["a"] != before["a"] and after["b/c"] == before["b/c"]


def test_a_second_look_reads_nothing(folder, monkeypatch):
    read = _reads(monkeypatch)
    first = _digests(folder)
    assert sorted(read) == ["a", "c"]
    assert _digests(folder) == first and len(read) == 2


def test_a_change_that_keeps_size_and_time_is_seen(folder, tmp_path):
    before = _digests(folder)
    status = (folder / "a").stat()
    (folder / "a").write_text("The bytes of A")
    os.utime(folder / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    changed = _digests(folder)
    other = tmp_path / "other"
    other.write_text("the Bytes of a")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, folder / "a")
    assert len({before["a"], changed["a"], _digests(folder)["a"]}) == 3


def test_a_link_stands_for_its_file(folder, tmp_path):
    (tmp_path / "target").write_text("one")
    (folder / "link").symlink_to(tmp_path / "target")
    before = _digests(folder, ["link"])
    (tmp_path / "second").write_text("two")
    (folder / "link").unlink()
    (folder / "link").symlink_to(tmp_path / "second")
    assert _digests(folder, ["link"]) != before


def test_fresh_files_and_failures_are_not_remembered(folder, monkeypatch, cache):
    monkeypatch.setattr(contents, "SETTLED_NS", 10**12)
    (folder / "broken").symlink_to(folder / "nowhere")
    assert sorted(_digests(folder, [*FILES, "broken"])) == ["a", "b/c"]
    assert not cache.exists()
    monkeypatch.setattr(contents, "SETTLED_NS", -(10**12))
    (folder / "nowhere").write_text("now")
    assert sorted(_digests(folder, [*FILES, "broken"])) == ["a", "b/c", "broken"]


@pytest.mark.parametrize("text", ["", "[]", "3", '{"a": 3}', '{"a": [1, 2, 3, "x", "y"]}', '{"a": [[], 1, 1, 1, ""]}', "[" * 100_000])
def test_a_damaged_memory_is_no_memory(folder, cache, text):
    expected = _digests(folder)
    (memory,) = cache.glob("*.json")
    memory.write_text(text)
    assert _digests(folder) == expected
    assert sorted(json.loads(memory.read_text())) == ["a", "b/c"]


def test_without_a_place_for_the_memory_it_goes_on(folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(_digests(folder)) == 2
    monkeypatch.setattr(contents, "user_cache", lambda: (_ for _ in ()).throw(DataError("no home")))
    assert len(_digests(folder)) == 2


def test_a_file_that_changes_meanwhile_is_an_error(folder, monkeypatch):
    known = read_contents(folder, FILES)
    check_unchanged(folder, known)
    (folder / "a").write_text("more than before")
    with pytest.raises(DataError, match=r"1 of 2 files changed while they were read, such as .*a\. Wait"):
        check_unchanged(folder, known)
    (folder / "a").unlink()
    with pytest.raises(DataError, match="1 of 2 files changed"):
        check_unchanged(folder, known)
    numbers = iter(range(100))
    monkeypatch.setattr(contents, "facts_of", lambda status: (next(numbers), 0, 0, 0))
    with pytest.raises(DataError, match="c changes while it is read"):
        read_contents(folder, ["b/c"])


def test_many_files_are_announced(folder, monkeypatch, caplog):
    monkeypatch.setattr(contents, "_MANY", 2)
    with caplog.at_level("INFO"):
        read_contents(folder, FILES)
    assert "Reading 2 files" in caplog.text


def test_a_name_has_the_kind_and_depends_on_the_facts():
    assert content_name("images", [1]) == content_name("images", [1]) != content_name("images", [2])
    assert content_name("images", []).startswith("images-")
