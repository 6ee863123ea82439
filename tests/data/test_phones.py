import json

import pytest

from vqvae.data import Phone, check_phones, labels_at, read_phones
from vqvae.data import phones as phones_module
from vqvae.data.phones import SILENCES
from vqvae.errors import DataError

_LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "TextTier"
        name = "clicks 2"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.25
            mark = "say ""ah"" 3"
    item [2]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "oh"
    item [3]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 2 ! a comment of 2 words
        intervals [1]:
            xmin = 0
            xmax = 5e-1
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.5
            text = "OW1"
"""
_SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
1
"IntervalTier"
"phones"
0
1.5
2
0
0.5
""
0.5
1.5
"OW1"
"""
_EXPECTED = (Phone(0.0, 0.5, ""), Phone(0.5, 1.5, "OW1"))


def _lines(path, entries):
    path.write_text("".join(json.dumps({"file": file, "phones": phones}) + "\n" for file, phones in entries))
    return path


def test_json_lines_are_read_by_their_files(tmp_path):
    path = _lines(tmp_path / "phones.jsonl", [("a/b.flac", [[0, 0.16, "AH0"], [0.16, 0.3, "SIL"]]), ("c.wav", [])])
    path.write_text(path.read_text() + "\n", encoding="utf-8-sig")  # An editor may put a mark before it, and an empty line at its end.
    assert read_phones(path) == {"a/b.flac": (Phone(0.0, 0.16, "AH0"), Phone(0.16, 0.3, "SIL")), "c.wav": ()}


@pytest.mark.parametrize("text", [_LONG, _SHORT])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_both_forms_of_a_text_grid_are_read(tmp_path, text, encoding):
    path = tmp_path / "oh.TextGrid"
    path.write_bytes(text.encode(encoding))
    assert read_phones(path) == {"oh": _EXPECTED}


def test_quotes_are_doubled_in_a_text_grid(tmp_path):
    (tmp_path / "a.TextGrid").write_text(_SHORT.replace('"OW1"', '"O""W"'))
    assert read_phones(tmp_path / "a.TextGrid")["a"][1].label == 'O"W'


def test_a_folder_of_text_grids_mirrors_the_recordings(tmp_path):
    for name in ("b/2", "b/1", "a.b/c.d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.TextGrid").write_text(_SHORT)
    phones = read_phones(tmp_path)
    assert list(phones) == ["a.b/c.d", "b/1", "b/2"]
    assert list(check_phones(phones, ["b/1.flac", "b/3.flac", "a.b/c.d.wav"])) == ["b/1.flac", "a.b/c.d.wav"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no \.TextGrid files"):
        read_phones(tmp_path / "empty")


def test_stress_is_stripped_where_asked(tmp_path):
    path = _lines(tmp_path / "phones.jsonl", [("a.wav", [[0, 1, "AH0"], [1, 2, "ER1"], [2, 3, "S"], [3, 4, "spn2"], [4, 5, "2"]])])
    assert [phone.label for phone in read_phones(path, strip_stress=True)["a.wav"]] == ["AH", "ER", "S", "spn2", "2"]
    assert [phone.label for phone in read_phones(path)["a.wav"]][:2] == ["AH0", "ER1"]


def test_alignments_are_joined_to_recordings_or_the_mismatch_is_named():
    phones = {"a/b.flac": _EXPECTED, "other.flac": ()}
    assert check_phones(phones, ["c.wav", "a/b.flac"]) == {"a/b.flac": _EXPECTED}
    with pytest.raises(
        DataError, match=r"None of the 4 recordings.*none for x/b\.flac, d, e and 1 others, only for a/b\.flac, other\.flac"
    ):
        check_phones(phones, ["x/b.flac", "d", "e", "f"])


def test_the_label_at_a_time_is_that_of_the_phone_that_holds_it():
    phones = (Phone(0.1, 0.2, "A"), Phone(0.2, 0.2, "none"), Phone(0.2, 0.3, "B"), Phone(0.5, 0.6, "C"))
    assert labels_at(phones, [0.55, 0.0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6]) == ["C", None, "A", "A", "B", None, None, "C", None]
    assert labels_at((), [0.0]) == [None]
    assert labels_at(phones, []) == []


def test_silence_has_the_names_that_aligners_use():
    assert {"SIL", "SP", "SPN", "NSN", "", "<SIL>"} <= SILENCES and "S" not in SILENCES


@pytest.mark.parametrize(
    ("phones", "reason"),
    [
        ([[0, 1, "A"], [0.5, 2, "B"]], "line 1, has a phone 'B' from 0.5 s to 2 s after one that ends at 1.0 s"),
        ([[2, 1, "A"]], "must not run backwards"),
        ([[-1, 1, "A"]], "must not run backwards"),
        ([[0, float("nan"), "A"]], "must not run backwards"),
        ([[float("nan"), 1, "A"]], "must not run backwards"),
        ([[0, float("inf"), "A"]], "must not run backwards"),
        ([["0", 1, "A"]], "two times in seconds and a label"),
        ([[0, 1, None]], "two times in seconds and a label"),
        ([[0, 1]], "is not of the form"),
        (3, "is not of the form"),
    ],
)
def test_phones_that_cannot_be_are_refused(tmp_path, phones, reason):
    with pytest.raises(DataError, match=reason):
        read_phones(_lines(tmp_path / "phones.jsonl", [("a.wav", phones)]))


def test_times_that_were_rounded_may_overlap_a_little(tmp_path):
    path = _lines(tmp_path / "phones.jsonl", [("a.wav", [[0, 0.1004, "A"], [0.1, 0.2, "B"]])])
    assert labels_at(read_phones(path)["a.wav"], [0.1002]) == ["B"]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("p.jsonl", b'{"file": "a"}\n', r"p\.jsonl, line 1, is not of the form"),
        ("p.jsonl", b'{"file": "a", "phones": []}\n[1]\n', "line 2, is not of the form"),
        ("p.jsonl", b'{"file": "a", "phones": []}\n{"file": "a", "phones": []}\n', "line 2, is a second alignment of a"),
        ("p.jsonl", b'{"file": "\xe9"}', "is not UTF-8: byte 10"),
        ("p.TextGrid", b"\x89binary", "is not UTF-8"),
        ("p.TextGrid", b"hello", "is cut short or not a TextGrid"),
        ("p.TextGrid", b'"ooTextFile" "Pitch" 1', "is not a TextGrid in text format"),
        ("p.TextGrid", _LONG[:-60].encode(), "is cut short"),
        # Cut where an interval ends, all that is there is sound; only the number of intervals tells.
        ("p.TextGrid", _LONG[: _LONG.index("        intervals [2]")].encode(), "is cut short"),
        ("p.TextGrid", _SHORT[: _SHORT.index('0.5\n1.5\n"OW')].encode(), "is cut short"),
        ("p.TextGrid", _SHORT.replace('0\n0.5\n""', '-1\n0.5\n""').encode(), "must not run backwards"),
        ("p.TextGrid", _SHORT.replace('"phones"', '"words"').encode(), r"no tier of intervals named 'phones'; it has \['words'\]"),
        ("p.TextGrid", _SHORT.replace('0.5\n1.5\n"OW', '0.4\n1.5\n"OW').encode(), "must not run backwards"),
        ("p.txt", b"", "is not an alignment"),
    ],
)
def test_files_that_are_no_alignment_are_explained(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_phones(tmp_path / name)


@pytest.mark.parametrize("label", ["item [1]", 'an ""IntervalTier""', "intervals [2]: xmin = 3", "! no comment", "two\nlines"])
def test_a_label_may_be_what_stands_around_labels(tmp_path, label):
    for text in (_LONG, _SHORT, _SHORT.replace("\n", " ")):
        (tmp_path / "a.TextGrid").write_text(text.replace('"OW1"', f'"{label}"'))
        assert [phone.label for phone in read_phones(tmp_path / "a.TextGrid")["a"]] == ["", label.replace('""', '"')]


def test_a_text_grid_that_would_take_all_memory_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.TextGrid").write_text(_SHORT)
    monkeypatch.setattr(phones_module, "_LARGEST", len(_SHORT))
    assert read_phones(tmp_path / "a.TextGrid")
    monkeypatch.setattr(phones_module, "_LARGEST", len(_SHORT) - 1)
    with pytest.raises(DataError, match=rf"a\.TextGrid has {len(_SHORT)} bytes; at most {len(_SHORT) - 1} are expected"):
        read_phones(tmp_path / "a.TextGrid")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.TextGrid cannot be read: No such file"):
        read_phones(tmp_path / "none.TextGrid")
    with pytest.raises(DataError, match=r"none\.jsonl cannot be read: No such file"):
        read_phones(tmp_path / "none.jsonl")
