"""Files and folders that appear whole, and nothing of others that is removed."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vqvae import disk
from vqvae.disk import atomic, atomic_folder, clear_dead_writers, locked, recover, remove_folder, safe_name

FORK = multiprocessing.get_context("fork")


def test_a_file_and_a_folder_appear_whole(tmp_path: Path) -> None:
    with atomic(tmp_path / "deep" / "file") as hidden:
        hidden.write_text("new")
        assert not (tmp_path / "deep" / "file").exists()
    assert (tmp_path / "deep" / "file").read_text() == "new"
    for content in ("old", "new"):
        with atomic_folder(tmp_path / "folder") as hidden:
            (hidden / "name").write_text(content)
    assert [(path.name, path.read_text()) for path in (tmp_path / "folder").iterdir()] == [("name", "new")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "folder"]


@pytest.mark.parametrize("write", [atomic, atomic_folder])
def test_an_error_leaves_what_was_there(write: object, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    if write is atomic:
        (tmp_path / "deep" / "x").write_text("old")
    else:
        (tmp_path / "deep" / "x").mkdir()
        (tmp_path / "deep" / "x" / "name").write_text("old")
    before = sorted((path.name, path.read_text() if path.is_file() else "") for path in tmp_path.rglob("*"))
    with pytest.raises(RuntimeError), write(tmp_path / "deep" / "x") as hidden:
        (hidden if write is atomic else hidden / "name").write_text("ne")
        raise RuntimeError
    assert sorted((path.name, path.read_text() if path.is_file() else "") for path in tmp_path.rglob("*")) == before


def test_a_folder_is_never_replaced_by_a_file_nor_a_file_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "figures.png").mkdir()
    (tmp_path / "figures.png" / "thesis").write_text("years of work")
    with pytest.raises(IsADirectoryError, match="figures.png is a folder"), atomic(tmp_path / "figures.png") as hidden:
        hidden.write_text("picture")
    (tmp_path / "file").write_text("years of work")
    with pytest.raises(OSError, match="file is a file"), atomic_folder(tmp_path / "file") as hidden:
        (hidden / "name").write_text("new")
    assert (tmp_path / "figures.png" / "thesis").read_text() == (tmp_path / "file").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures.png", "file"]


def test_what_a_new_folder_lacks_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"\['thesis'\], which would be lost"), atomic_folder(tmp_path / "x") as hidden:
        (hidden / "name").write_text("new")
    assert [path.name for path in tmp_path.rglob("*")] == ["x", "thesis"]


def _write_and_wait(path: Path, folder: bool, started: object) -> None:
    with (atomic_folder if folder else atomic)(path) as hidden:
        (hidden / "half" if folder else hidden).write_text("half")
        started.set()
        signal.pause()


@pytest.mark.parametrize("folder", [False, True])
def test_a_killed_writer_leaves_nothing_that_the_next_one_does_not_clear(folder: bool, tmp_path: Path) -> None:
    started = FORK.Event()
    process = FORK.Process(target=_write_and_wait, args=(tmp_path / "x", folder, started))
    process.start()
    started.wait(30)
    (left,) = tmp_path.iterdir()
    clear_dead_writers(tmp_path)
    assert left.exists(), "its writer lives"
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with (atomic_folder if folder else atomic)(tmp_path / "x") as hidden:
        (hidden / "name" if folder else hidden).write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_only_names_of_ours_are_cleared(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    ours = tmp_path / f".x.{disk._HOST}-{dead.pid}-0123abcd.vqvae"
    others = [
        ".notes.tmp",
        ".x-1.tmp",
        ".x.partial",
        f".x.00000000-{dead.pid}-0123abcd.vqvae",
        f".x.{disk._HOST}-{os.getpid()}-0123abcd.vqvae",
    ]
    for name in (ours.name, *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "inside").write_text("years of work")
    clear_dead_writers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)
    clear_dead_writers(tmp_path / "is not there")


def _write(path: Path, text: str) -> None:
    with atomic(path) as hidden, hidden.open("w") as file:
        for _ in range(200):
            file.write(text)
            file.flush()


def test_two_writers_at_once_publish_one_whole_file(tmp_path: Path) -> None:
    for _ in range(5):
        processes = [FORK.Process(target=_write, args=(tmp_path / "x", letter)) for letter in "ab"]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert (tmp_path / "x").read_text() in ("a" * 200, "b" * 200)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("step", ["aside", "new"])
def test_an_old_folder_is_not_lost_where_names_cannot_be_exchanged(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with atomic_folder(tmp_path / "x") as hidden:
        (hidden / "name").write_text("old")
    monkeypatch.setattr(disk, "_exchange", lambda a, b: False)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        is_new = self.name.endswith(".vqvae") and "aside" not in self.name and Path(target) == tmp_path / "x"
        if is_new and step == "new":
            raise PermissionError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    if step == "new":
        with pytest.raises(PermissionError), atomic_folder(tmp_path / "x") as hidden:
            (hidden / "name").write_text("new")
    else:  # A kill between the two renames leaves the old folder aside.
        rename(tmp_path / "x", disk._aside(tmp_path / "x"))
        recover(tmp_path / "x")
    assert (tmp_path / "x" / "name").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    monkeypatch.undo()


def test_a_folder_of_ours_is_removed_in_one_stroke(tmp_path: Path) -> None:
    (tmp_path / "x" / "deep").mkdir(parents=True)
    remove_folder(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def _append(path: Path, log: Path) -> None:
    with locked(path):
        for _ in range(5):
            with log.open("a") as file:
                file.write(f"{os.getpid()}\n")
            os.sched_yield()


def test_the_lock_lets_one_process_in_at_a_time(tmp_path: Path) -> None:
    processes = [FORK.Process(target=_append, args=(tmp_path / "x", tmp_path / "log")) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = (tmp_path / "log").read_text().split()
    assert [len(set(lines[start : start + 5])) for start in (0, 5, 10)] == [1, 1, 1]


def _hold(path: Path, started: object) -> None:
    with locked(path):
        started.set()
        signal.pause()


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    started = FORK.Event()
    process = FORK.Process(target=_hold, args=(tmp_path / "x", started))
    process.start()
    started.wait(30)
    with pytest.raises(BlockingIOError, match="another process has"), locked(tmp_path / "x", wait=False):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with locked(tmp_path / "x", wait=False):
        pass


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("en-us+f1", "en-us+f1"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/", "_"),
        ("", "_"),
        (".hidden", "hidden"),
        ("a\0b\nc", "a_b_c"),
        ("ä" * 300, "ä" * 100),
        ("C:\\x", "C__x"),
    ],
)
def test_names_of_strangers_are_one_component(words: str, name: str) -> None:
    assert safe_name(words) == name
    assert Path("folder", safe_name(words)).parent == Path("folder")


def test_names_that_are_taken_get_a_number() -> None:
    taken: set[str] = set()
    assert [safe_name(words, taken) for words in ("a/b", "a:b", "A_b")] == ["a_b", "a_b-2", "A_b-3"]
