"""Files and folders that appear whole, and nothing of others that is removed."""

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vqvae import disk
from vqvae.disk import (
    atomic,
    atomic_folder,
    check_outputs,
    clean,
    exists,
    explained,
    held,
    locked,
    remove,
    safe_name,
    safe_names,
    typed_path,
    user_path,
)
from vqvae.errors import CheckpointError, ConfigError, DataError, VqvaeError

FORK = multiprocessing.get_context("fork")


def files(folder: Path) -> dict[str, str]:
    """All that is in a folder, hidden or not."""
    return {path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else "" for path in folder.rglob("*")}


def put(folder: Path, text: str) -> None:
    with atomic_folder(folder) as hidden:
        (hidden / "name").write_text(text)


def test_a_file_and_a_folder_appear_whole(tmp_path: Path) -> None:
    with atomic(tmp_path / "deep" / "file.txt") as hidden:
        assert hidden.suffix == ".txt", "whoever writes may go by the name"
        hidden.write_text("new")
        assert not (tmp_path / "deep" / "file.txt").exists()
    assert (tmp_path / "deep" / "file.txt").read_text() == "new"
    for content in ("old", "new"):
        put(tmp_path / "folder", content)
    assert files(tmp_path) == {"deep": "", "deep/file.txt": "new", "folder": "", "folder/name": "new"}


def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    with atomic(tmp_path / ("x" * 255)) as hidden:
        hidden.write_text("new")
    assert files(tmp_path) == {"x" * 255: "new"}


@pytest.mark.parametrize("write", [atomic, atomic_folder])
def test_an_error_leaves_what_was_there(write: Callable, tmp_path: Path) -> None:
    if write is atomic:
        (tmp_path / "x").write_text("old")
    else:
        put(tmp_path / "x", "old")
    before = files(tmp_path)
    with pytest.raises(RuntimeError), write(tmp_path / "x") as hidden:
        (hidden if write is atomic else hidden / "name").write_text("ne")
        raise RuntimeError
    assert files(tmp_path) == before


def test_the_systems_errors_say_what_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file/x could not be written .*What was there before is unchanged"):
        atomic(tmp_path / "file" / "x", CheckpointError).__enter__()
    full = "x could not be written .No space left on device.. Go away."
    with pytest.raises(DataError, match=full), atomic(tmp_path / "x", DataError, "Go away."):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a hidden name")
    with pytest.raises(VqvaeError, match="file/x could not be written"), locked(tmp_path / "file" / "x"):
        pass
    with pytest.raises(DataError, match="x cannot be read .why.. Look."), explained(DataError, Path("x"), "cannot be read", "Look."):
        raise OSError("why")
    assert files(tmp_path) == {"file": ""}


def test_a_folder_is_never_replaced_by_a_file_nor_a_file_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "figures.png").mkdir()
    (tmp_path / "figures.png" / "thesis").write_text("years of work")
    (tmp_path / "file").write_text("years of work")
    before = files(tmp_path)
    with pytest.raises(VqvaeError, match="figures.png could not be written .it is a folder"), atomic(tmp_path / "figures.png") as hidden:
        hidden.write_text("picture")
    with pytest.raises(VqvaeError, match="file could not be written .it is a file"):
        put(tmp_path / "file", "new")
    assert files(tmp_path) == before


def test_what_a_new_folder_lacks_is_not_lost(tmp_path: Path) -> None:
    for name in ("thesis", "name/thesis"):
        (tmp_path / "x" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "x" / name).write_text("years of work")
        before = files(tmp_path)
        with pytest.raises(VqvaeError, match=rf"x contains \['.*{name}'.*\], which would be lost"), atomic_folder(tmp_path / "x") as hidden:
            (hidden / "name").mkdir()
        assert files(tmp_path) == before


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "old")
    (tmp_path / "x").symlink_to(tmp_path / "elsewhere")
    put(tmp_path / "x", "new")
    assert files(tmp_path) == {"elsewhere": "", "elsewhere/name": "old", "x": "", "x/name": "new"}


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
    assert started.wait(30)
    left = files(tmp_path)
    clean(tmp_path)
    assert files(tmp_path) == left and "half" in left.values(), "its writer lives"
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not exists(tmp_path / "x")
    with atomic(tmp_path / "y") as hidden:
        hidden.write_text("new")
    assert files(tmp_path) == {"y": "new"}


def test_a_reader_of_what_is_finished_clears_what_a_killed_writer_left_beside_it(tmp_path: Path) -> None:
    put(tmp_path / "x", "done")
    (tmp_path / disk.TEMPORARY / ("0" * 16)).mkdir(parents=True)
    (tmp_path / disk.TEMPORARY / f"{'0' * 16}.lock").write_text("")
    assert exists(tmp_path / "x")
    assert files(tmp_path) == {"x": "", "x/name": "done"}


def test_only_what_was_made_here_is_cleared(tmp_path: Path) -> None:
    others = [".notes.tmp", ".x-1.tmp", ".x.partial", f"{disk.TEMPORARY}/notes", f"{disk.TEMPORARY}/{'g' * 16}"]
    ours = [f"{disk.TEMPORARY}/{'0' * 16}/new", f"{disk.TEMPORARY}/{'1' * 16}"]
    for name in (*others, *ours):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "inside").write_text("years of work")
    (tmp_path / disk.TEMPORARY / f"{'2' * 16}.lock").write_text("")
    clean(tmp_path)
    assert sorted(files(tmp_path)) == sorted([*others, *(f"{name}/inside" for name in others), disk.TEMPORARY])
    clean(tmp_path / "is not there")


def test_links_of_strangers_lead_nowhere(tmp_path: Path) -> None:
    home, theirs = tmp_path / "home", tmp_path / "theirs"
    for name in ("0" * 16, f"{'0' * 16}/new", "letters"):
        (home / name).mkdir(parents=True)
        (home / name / "thesis").write_text("years of work")
    before = files(home)
    theirs.mkdir()
    (theirs / disk.TEMPORARY).symlink_to(home)
    clean(theirs)
    with pytest.raises(VqvaeError, match="is a link"), atomic(theirs / "x"):
        pass
    (theirs / disk.TEMPORARY).unlink()
    (theirs / disk.TEMPORARY / ("2" * 16)).mkdir(parents=True)
    (theirs / disk.TEMPORARY / ("1" * 16)).symlink_to(home)
    (theirs / disk.TEMPORARY / ("2" * 16) / "old").symlink_to(home / "letters")
    clean(theirs)
    assert files(home) == before and not (theirs / "thesis").exists()


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    first, second = atomic(path), atomic(path)
    first.__enter__().write_text("first")
    half = second.__enter__().open("w")
    half.write("sec")
    half.flush()
    first.__exit__(None, None, None)
    assert path.read_text() == "first"
    half.write("ond")
    half.close()
    second.__exit__(None, None, None)
    assert files(tmp_path) == {"metrics.json": "second"}


def _write(path: Path, letter: str, turns: int) -> None:
    for _ in range(turns):
        put(path, letter * 100)


def test_a_forked_child_that_leaves_takes_nothing_along(tmp_path: Path) -> None:
    with atomic(tmp_path / "x") as hidden:
        hidden.write_text("new")
        context = atomic(tmp_path / "y")
        context.__enter__().write_text("half")
        process = FORK.Process(target=context.__exit__, args=(SystemExit, SystemExit(), None))
        process.start()
        process.join()
        context.__exit__(None, None, None)
    assert files(tmp_path) == {"x": "new", "y": "half"}


def test_many_writers_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    processes = [FORK.Process(target=_write, args=(tmp_path / "x", letter, 20)) for letter in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert files(tmp_path) in ({"x": "", "x/name": letter * 100} for letter in "abc")


def _die_between_renames(path: Path) -> None:
    rename = os.rename
    disk._exchange = lambda a, b: False
    os.rename = lambda a, b: os.kill(os.getpid(), signal.SIGKILL) if Path(b) == path else rename(a, b)
    put(path, "new")


@pytest.mark.parametrize("look", [exists, lambda path: clean(path.parent), lambda path: put(path.with_name("other"), "other")])
def test_an_old_folder_is_back_after_a_kill_where_names_cannot_be_exchanged(look: Callable, tmp_path: Path) -> None:
    put(tmp_path / "x", "old")
    process = FORK.Process(target=_die_between_renames, args=(tmp_path / "x",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and not (tmp_path / "x").exists()
    look(tmp_path / "x")
    assert (tmp_path / "x" / "name").read_text() == "old" and not (tmp_path / disk.TEMPORARY).exists()


def test_an_old_folder_is_back_after_an_error_where_names_cannot_be_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "x", "old")
    rename = os.rename

    def full(a: Path, b: Path) -> None:
        if Path(b) == tmp_path / "x" and Path(a).parent.name == "new":
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        rename(a, b)

    monkeypatch.setattr(disk, "_exchange", lambda a, b: False)
    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(VqvaeError, match="Disk quota exceeded"):
        put(tmp_path / "x", "new")
    assert files(tmp_path) == {"x": "", "x/name": "old"}


def test_what_cannot_be_put_back_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "x", "old")
    rename = os.rename

    def broken(a: Path, b: Path) -> None:
        if Path(b) == tmp_path / "x":
            raise OSError(errno.EIO, "Input/output error")
        rename(a, b)

    with monkeypatch.context() as patch:
        patch.setattr(disk, "_exchange", lambda a, b: False)
        patch.setattr(os, "rename", broken)
        with pytest.raises(VqvaeError, match="Input/output error"):
            put(tmp_path / "x", "new")
        assert not exists(tmp_path / "x")
    assert exists(tmp_path / "x") and files(tmp_path) == {"x": "", "x/name": "old"}


def test_what_is_ours_is_removed_in_one_stroke(tmp_path: Path) -> None:
    put(tmp_path / "x", "old")
    remove(tmp_path / "x")
    assert files(tmp_path) == {}


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
    with locked(tmp_path / "x"), held(tmp_path / ".x.lock", 0) as free:
        assert not free


def _hold(path: Path, started: object) -> None:
    with held(path):
        if os.fork():
            started.set()
        signal.pause()


def test_a_lock_ends_with_its_process_though_its_children_live(tmp_path: Path) -> None:
    started = FORK.Event()
    process = FORK.Process(target=_hold, args=(tmp_path / "lock", started))
    process.start()
    assert started.wait(30)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    try:
        with held(tmp_path / "lock", 0) as free:
            assert not free
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        os.kill(int(children[0]), 0)
        with held(tmp_path / "lock", 0) as free:
            assert free
    finally:
        for child in children:
            os.kill(int(child), signal.SIGKILL)


def test_nothing_of_a_user_is_replaced(tmp_path: Path) -> None:
    mine, new, pipe = tmp_path / "mine.png", tmp_path / "new.png", tmp_path / "pipe.png"
    mine.write_text("a picture of mine")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(mine)
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone")
    (tmp_path / "hard.png").hardlink_to(mine)
    os.mkfifo(pipe)
    check_outputs([new, tmp_path / "deep" / "new.png"], [mine])
    for there in (mine, tmp_path / "nowhere.png"):
        with pytest.raises(ConfigError, match=f"{there.name} exists already.*--overwrite"):
            check_outputs([new, there])
    check_outputs([mine], overwrite=True)
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match="folder.png is a folder"):
            check_outputs([tmp_path / "folder.png"], overwrite=overwrite)
        with pytest.raises(ConfigError, match="pipe.png is not a plain file"):
            check_outputs([pipe], overwrite=overwrite)
        with pytest.raises(ConfigError, match="mine.png is a file; expected a folder"):
            check_outputs([mine / "a" / "b.png"], overwrite=overwrite)
        with pytest.raises(ConfigError, match="cannot be written .File name too long"):
            check_outputs([tmp_path / ("x" * 300)], overwrite=overwrite)
        for output in (
            mine,
            tmp_path / "folder.png" / ".." / "mine.png",
            tmp_path / "link.png",
            tmp_path / "hard.png",
            tmp_path / "MINE.PNG",
        ):
            with pytest.raises(ConfigError, match="is the input .*, which would be lost"):
                check_outputs([output], [new, mine], overwrite=overwrite)
        for output in (new, tmp_path / "NEW.png", tmp_path / "folder.png" / ".." / "new.png"):
            with pytest.raises(ConfigError, match="would be written twice"):
                check_outputs([new, output], overwrite=overwrite)
    assert mine.read_text() == "a picture of mine"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("en-us+f1", "en-us+f1"),
        ("../../etc/passwd", "__.._etc_passwd"),
        ("..", "_"),
        ("/", "_"),
        ("", "_"),
        (".hidden", "_hidden"),
        ("a\0b\nc", "a_b_c"),
        ("dot. ", "dot"),
        ("NUL", "_NUL"),
        ("com1.wav", "_com1.wav"),
        ("ä" * 300, "ä" * 50),
        ("C:\\x", "C__x"),
        ("\udc80", "_"),
    ],
)
def test_names_of_strangers_are_one_component(words: str, name: str) -> None:
    assert safe_name(words) == name
    assert Path("folder", safe_name(words)).parent == Path("folder")


def test_names_that_are_taken_get_a_number() -> None:
    assert safe_names(["a/b", "a:b", "A_b", "c"]) == ["a_b", "a_b-2", "A_b-3", "c"]


PLATFORM = """
import ctypes, importlib, os, pkgutil, sys
import torch, tyro
real = ctypes.CDLL
def library(name, *rest, **more):
    if name is None:
        raise TypeError("there is no such library on Windows")
    return real(name, *rest, **more)
ctypes.CDLL = library
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in ("killpg", "sched_getaffinity", "fork", "setsid", "getpgrp"):
    if hasattr(os, name):
        delattr(os, name)
import vqvae
names = [module.name for module in pkgutil.walk_packages(vqvae.__path__, "vqvae.")]
for name in names:
    if name != "vqvae.data.render":  # A program of its own, which needs an extra.
        importlib.import_module(name)
print(len(names))
"""


def test_the_package_is_imported_where_there_is_no_fcntl() -> None:
    found = subprocess.run([sys.executable, "-c", PLATFORM], capture_output=True, text=True)
    assert found.returncode == 0 and int(found.stdout) > 100, found.stderr


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("a\0b", "NUL"),
        ("\ud800", "Unicode"),
        ("a" * 256, "too long"),
        ("é" * 128, "too long"),
        ("a/" * 2048, "too long"),
        ("~nobody-of-this-name/a", "names no place"),
        (b"a", "came as bytes"),
        (1, "came as int"),
        (None, "came as NoneType"),
    ],
)
def test_what_cannot_be_a_path_is_an_error(path: object, why: str) -> None:
    with pytest.raises(DataError, match=why):
        user_path(path, DataError)


def test_paths_of_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a") == tmp_path / "a" and user_path(Path("a") / "b") == Path("a/b")
    assert user_path("a" * 255) == Path("a" * 255) and user_path("\udcff").name == "\udcff"


def test_a_name_with_a_tilde_can_be_given_with_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert user_path("./~nobody-of-this-name") == tmp_path / "~nobody-of-this-name" == user_path(typed_path("./~nobody-of-this-name"))
    assert typed_path("~/a") == Path("~/a") and typed_path("./a") == Path("a")


def test_text_loses_its_byte_order_mark(tmp_path):
    (tmp_path / "notes.txt").write_bytes(b"\xef\xbb\xbfleft\n")
    assert disk.read_text(tmp_path / "notes.txt") == "left\n"
