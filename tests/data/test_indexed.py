"""An index gives the bytes of any item, and notices what changes."""

import gc
import json
import os
import pickle
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.data.shards import samples, write_arrow, write_parquet, write_tar
from vqvae.data import indexed
from vqvae.data.indexed import index_items
from vqvae.data.records.found import find_shards
from vqvae.errors import DataError

CONTENTS = [np.random.default_rng(number).bytes(50 + 7 * number) for number in range(60)]
LABELS = [number % 4 for number in range(60)]


def write(folder, kind):
    """Three files."""
    for part in range(3):
        some, labels = CONTENTS[20 * part : 20 * part + 20], LABELS[20 * part : 20 * part + 20]
        if kind == "tar":
            write_tar(folder / f"{part}.tar", samples(some, labels, 20 * part))
        elif kind == "parquet":
            write_parquet(folder / f"{part}.parquet", image=some, label=labels)
        else:
            write_arrow(folder / f"{part}.arrow", None if kind == "arrow" else "zstd", image=some, label=labels)


def index(folder, cache):
    return index_items(find_shards(folder), (".png",), cache=str(cache))


@pytest.fixture(params=["tar", "parquet", "arrow", "packed"])
def kind(request):
    return request.param


def test_any_items_in_any_order(tmp_path, kind):
    write(tmp_path / "data", kind)
    items = pickle.loads(pickle.dumps(index(tmp_path / "data", tmp_path / "cache")))
    assert len(items) == 60 and items.label_names == ("0", "1", "2", "3") and not items.bad
    rows = np.random.default_rng(0).integers(0, 60, 200)
    assert items.read(rows) == [CONTENTS[row] for row in rows]
    assert items.labels(rows).tolist() == [LABELS[row] for row in rows]
    assert items.read(rows[:0]) == []
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(items.read, [rows] * 8)) == [[CONTENTS[row] for row in rows]] * 8


def test_few_files_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(indexed, "_MOST_OPEN", 2)
    monkeypatch.setattr(indexed, "_files", indexed._OpenFiles())
    write(tmp_path / "data", "tar")
    items = index(tmp_path / "data", tmp_path / "cache")
    for row in (0, 25, 59, 30, 1):
        assert items.read(np.array([row])) == [CONTENTS[row]]
    assert len(open_tars(tmp_path)) == 2
    copy = pickle.loads(pickle.dumps(items))
    assert copy.read(np.array([59, 0])) == [CONTENTS[59], CONTENTS[0]]
    monkeypatch.undo()
    gc.collect()
    assert not open_tars(tmp_path)


def test_a_process_that_may_open_no_more_files_closes_those_that_it_needs_least(tmp_path, monkeypatch):
    write(tmp_path / "data", "tar")
    monkeypatch.setattr(indexed, "_files", indexed._OpenFiles())
    items = index(tmp_path / "data", tmp_path / "cache")
    items.read(np.array([0, 25]))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(one) for one in os.listdir("/proc/self/fd")), limits[1]))
    try:
        assert items.read(np.array([59, 0])) == [CONTENTS[59], CONTENTS[0]]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_copy_that_was_made_again_is_read_anew(tmp_path):
    write(tmp_path / "data", "parquet")
    items = index(tmp_path / "data", tmp_path / "cache")
    assert items.read(np.array([0, 59])) == [CONTENTS[0], CONTENTS[59]]
    (copy,) = (tmp_path / "cache").glob("*/copy.bin")
    other = copy.read_bytes()[::-1]
    copy.unlink()
    with pytest.raises(DataError, match=r"copy.bin cannot be read \(No such file"):
        items.read(np.array([0]))
    copy.write_bytes(other)
    assert items.read(np.array([0])) == [other[: len(CONTENTS[0])]]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_child_reads_although_a_thread_of_its_parent_held_the_lock(tmp_path):
    write(tmp_path / "data", "tar")
    items = index(tmp_path / "data", tmp_path / "cache")
    with indexed._files._lock:
        child = os.fork()
        if not child:
            signal.alarm(20)
            os._exit(0 if items.read(np.array([0, 59])) == [CONTENTS[0], CONTENTS[59]] else 1)
    assert os.waitpid(child, 0)[1] == 0


def open_tars(folder):
    """The tars in a folder that this process has open."""
    return [
        link for link in map(os.path.realpath, Path("/proc/self/fd").iterdir()) if link.startswith(str(folder)) and link.endswith(".tar")
    ]


def test_only_what_lies_compressed_is_copied(tmp_path, kind):
    write(tmp_path / "data", kind)
    index(tmp_path / "data", tmp_path / "cache")
    (copy,) = (tmp_path / "cache").glob("*/copy.bin")
    assert copy.stat().st_size == (sum(map(len, CONTENTS)) if kind in ("parquet", "packed") else 0)


def test_digests_depend_on_the_bytes_alone(tmp_path):
    found = []
    for kind in ("tar", "parquet", "arrow"):
        write(tmp_path / kind, kind)
        found.append(index(tmp_path / kind, tmp_path / "cache").digests().tolist())
    assert found[0] == found[1] == found[2] and len(set(found[0])) == 60


def _at_rest(folder):
    for file in folder.iterdir():
        os.utime(file, (1, 1))


def test_the_index_is_made_once_if_the_files_are_at_rest(tmp_path, monkeypatch):
    write(tmp_path / "data", "tar")
    made = []
    fill = indexed._fill
    monkeypatch.setattr(indexed, "_fill", lambda *arguments: (made.append(1), fill(*arguments)))
    index(tmp_path / "data", tmp_path / "cache")
    index(tmp_path / "data", tmp_path / "cache")
    assert len(made) == 2, "files that were just written may change within the same tick of the clock"
    monkeypatch.setattr(indexed, "SETTLED_NS", 0)
    index(tmp_path / "data", tmp_path / "cache")
    index(tmp_path / "data", tmp_path / "cache")
    assert len(made) == 2
    write_tar(tmp_path / "data" / "1.tar", samples(CONTENTS[:5]))
    assert len(index(tmp_path / "data", tmp_path / "cache")) == 45 and len(made) == 3


def test_changed_and_missing_files_are_errors(tmp_path):
    write(tmp_path / "data", "tar")
    items = index(tmp_path / "data", tmp_path / "cache")
    write_tar(tmp_path / "data" / "1.tar", samples(CONTENTS[20:40], first=20))
    assert items.read(np.array([0, 59])) == [CONTENTS[0], CONTENTS[59]]
    with pytest.raises(DataError, match=r"1.tar has changed since it was indexed"):
        items.read(np.array([0, 25]))
    (tmp_path / "data" / "2.tar").unlink()
    with pytest.raises(DataError, match=r"2.tar cannot be read \(No such file"):
        items.read(np.array([50]))


def test_a_file_that_changes_while_it_is_indexed_is_an_error(tmp_path, monkeypatch):
    write(tmp_path / "data", "tar")
    places = indexed.tar_places

    def changing(path, suffixes):
        yield from places(path, suffixes)
        with path.open("ab") as file:
            file.write(bytes(512))

    monkeypatch.setattr(indexed, "tar_places", changing)
    with pytest.raises(DataError, match="0.tar changed while it was read"):
        index(tmp_path / "data", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*/index.json"))


def test_a_damaged_index_is_made_again_or_named(tmp_path, monkeypatch):
    monkeypatch.setattr(indexed, "SETTLED_NS", 0)
    write(tmp_path / "data", "tar")
    index(tmp_path / "data", tmp_path / "cache")
    (folder,) = (one.parent for one in (tmp_path / "cache").glob("*/index.json"))
    (folder / "index.json").write_text("{")
    assert len(index(tmp_path / "data", tmp_path / "cache")) == 60
    (folder / "sizes").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"damaged cache \(sizes is too short\)"):
        index(tmp_path / "data", tmp_path / "cache")
    about = json.loads((folder / "index.json").read_text())
    for change in ({"counts": "x"}, {"facts": None}, {"bad": [1]}):
        (folder / "index.json").write_text(json.dumps(about | change))
        with pytest.raises(DataError, match="damaged cache"):
            index(tmp_path / "data", tmp_path / "cache")


def test_a_copy_that_is_cut_short_is_named(tmp_path):
    write(tmp_path / "data", "parquet")
    items = index(tmp_path / "data", tmp_path / "cache")
    (copy,) = (tmp_path / "cache").glob("*/copy.bin")
    copy.write_bytes(copy.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"2.parquet, item 19, cannot be read: .*copy.bin is cut short. Remove"):
        items.read(np.array([0, 59]))


def test_items_without_bytes_keep_their_number(tmp_path):
    write_tar(tmp_path / "data" / "0.tar", [("0.png", b"a"), ("1.txt", b"b"), ("2.png", b"c")])
    write_tar(tmp_path / "data" / "1.tar", [("0.png", b"d")])
    items = index(tmp_path / "data", tmp_path / "cache")
    assert list(items.bad) == [1] and "txt" in items.bad[1]
    assert items.read(np.array([2, 3])) == [b"c", b"d"]
    assert items.name(2).endswith("0.tar, item 2") and items.name(3).endswith("1.tar, item 0")
    assert items.in_files(["1.tar"]).tolist() == [False, False, False, True]


def test_no_items_are_an_error(tmp_path):
    write_tar(tmp_path / "data" / "0.tar", [("README", b"a")])
    with pytest.raises(DataError, match="1 files, but no items"):
        index(tmp_path / "data", tmp_path / "cache")


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        ([5, 2, 5], ("0", "1", "2", "3", "4", "5"), [5, 2, 5]),
        ([70_000, -3, 70_000], ("-3", "70000"), [1, 0, 1]),
        (["dog", "cat", "dog"], ("cat", "dog"), [1, 0, 1]),
        ([7, "cat", None], ("7", "cat"), [0, 1, -1]),
        ([None, None, None], (), [-1, -1, -1]),
    ],
)
def test_labels_are_numbered(tmp_path, labels, names, numbers):
    write_tar(tmp_path / "data" / "0.tar", [member for number, label in enumerate(labels) for member in _sample(number, label)])
    items = index(tmp_path / "data", tmp_path / "cache")
    assert items.label_names == names and items.labels(np.arange(3)).tolist() == numbers


def _sample(number, label):
    return [(f"{number}.png", b"x"), *([] if label is None else [(f"{number}.json", json.dumps({"label": label}).encode())])]


def test_more_labels_than_a_model_can_have_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(indexed, "MAX_LABELS", 3)
    write_parquet(tmp_path / "data" / "0.parquet", image=CONTENTS[:9], label=["a", "b", "c", "d", "e", "f", "g", "h", "a"])
    items = index(tmp_path / "data", tmp_path / "cache")
    assert items.label_names == () and items.labels(np.arange(9)).tolist() == [-1] * 9
