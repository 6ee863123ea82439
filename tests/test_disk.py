import multiprocessing
import os
import signal
import time

import pytest

from vqvae.disk import atomic, locked


def test_a_file_and_a_folder_appear_whole(tmp_path):
    with atomic(tmp_path / "deep" / "file") as partial:
        partial.write_text("new")
        assert not (tmp_path / "deep" / "file").exists()
    assert (tmp_path / "deep" / "file").read_text() == "new"
    for content in ("old", "new"):
        with atomic(tmp_path / "folder") as partial:
            partial.mkdir()
            (partial / content).write_text(content)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["new"]


def test_an_error_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(RuntimeError), atomic(tmp_path / "file") as partial:
        partial.write_text("ne")
        raise RuntimeError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def _write_for_ever(path):
    with atomic(path) as partial:
        partial.mkdir()
        (partial / "half").write_text("half")
        time.sleep(60)


def test_a_killed_writer_leaves_nothing_and_the_next_one_clears_up(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(tmp_path / "folder",))
    process.start()
    while not (tmp_path / ".folder.partial" / "half").exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (tmp_path / "folder").exists()
    with atomic(tmp_path / "folder") as partial:
        assert not partial.exists()
        partial.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def _append(path, log):
    with locked(path):
        for _ in range(5):
            with log.open("a") as file:
                file.write(str(os.getpid()) + "\n")
            time.sleep(0.01)


def test_the_lock_lets_one_process_in_at_a_time(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_append, args=(tmp_path / "x", tmp_path / "log")) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    lines = (tmp_path / "log").read_text().split()
    assert [len(set(lines[start : start + 5])) for start in (0, 5, 10)] == [1, 1, 1]
