import logging
import os

import pytest

from vqvae.data.files import find_files, of_kind, report_bad
from vqvae.errors import DataError


def test_files_are_found_by_suffix_sorted_and_without_what_is_hidden(tmp_path):
    for name in ("b/2.TXT", "b/1.txt", "a.txt", "c.md", ".hidden.txt", ".trash/d.txt", "folder.txt/e.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    assert find_files(tmp_path, (".txt",)) == ["a.txt", "b/1.txt", "b/2.TXT", "linked/1.txt", "linked/2.TXT"]
    assert find_files(tmp_path, (".txt", ".md")) == sorted([*find_files(tmp_path, (".txt",)), "c.md", "folder.txt/e.md"])


def test_bad_files_are_an_error_or_a_warning(caplog):
    bad = {str(number): f"{number} is bad" for number in range(7)}
    with pytest.raises(DataError, match=r"7 of 9 sound files cannot be decoded:\n  0 is bad(?s:.)*4 is bad\n  and 2 more(?s:.)*--skip-bad"):
        report_bad(bad, 9, "sound", skip=False)
    with caplog.at_level(logging.WARNING):
        report_bad(bad, 9, "sound", skip=True)
    assert [record.message for record in caplog.records] == [f"Skipped: {number} is bad" for number in range(7)]
    report_bad({}, 9, "sound", skip=False)


def test_what_systems_leave_behind_is_no_data(tmp_path):
    for name in ("a.txt", "__MACOSX/a.txt", "b/@eaDir/a.txt", "$RECYCLE.BIN/a.txt", "b/._a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_files(tmp_path) == ["a.txt"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=f"{tmp_path} cannot be read"):
        find_files(tmp_path)


def test_other_files_are_counted_by_kind():
    files = ["a.png", "b.PNG", "c.txt", "d.TXT", "e", "f.mov", "g.x", "h.y", "i.z"]
    assert of_kind(files, (".png",)) == (["a.png", "b.PNG"], "2 .txt, 1 without suffix, 1 .mov, 1 .x, 2 others")
    assert of_kind(files[:2], (".png",)) == (["a.png", "b.PNG"], "")
