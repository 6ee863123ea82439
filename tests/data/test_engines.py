"""An engine that continues an episode step by step."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from vqvae.data.engines import Engine
from vqvae.errors import DataError

_COUNTER = """
import json, os, sys, time
task = json.loads(sys.argv[1])
open("left behind", "w").close()
if task.get("fails"):
    sys.exit("the map is missing.")
place = 0
with open(task["commands"]) as asked, open(task["answers"], "wb") as told:
    told.write(bytes([0]) + bytes([place]) * 12)
    told.flush()
    for line in asked:
        place += int(line)
        if place == 13:
            os._exit(7)
        if place == 17:
            time.sleep(600)
        told.write(bytes([1]) if place > 99 else bytes([0]) + bytes([place]) * 12)
        told.flush()
"""
SHAPE = (3, 2, 2)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Begins engines whose frames show the sum of all actions. They are closed at the end."""
    program, made = tmp_path / "counter.py", []
    program.write_text(_COUNTER)

    def one(**task: object) -> Engine:
        made.append(Engine(program, task, SHAPE, "The counter", "it is superstitious"))
        return made[-1]

    yield one
    for engine in made:
        engine.close()


def ended(process: int) -> bool:
    """Whether a process has ended, and is no zombie."""
    return not Path(f"/proc/{process}").exists()


def test_each_action_leads_to_a_frame_until_the_episode_is_over(begin: Callable[..., Engine]) -> None:
    engine = begin()
    assert engine.first.tolist() == np.zeros(SHAPE).tolist()
    for action, place in ((5, 5), (2, 7)):
        engine.act(action)
        assert (engine.frame() == np.full(SHAPE, place, np.uint8)).all()
    engine.act(100)
    assert engine.frame() is None and engine.is_over
    engine.act(1)
    assert engine.frame() is None


def test_frames_that_nobody_fetched_are_skipped(begin: Callable[..., Engine]) -> None:
    engine = begin()
    for action in (1, 2, 3):
        engine.act(action)
    assert (engine.frame() == 6).all()


def test_a_closed_engine_leaves_nothing(begin: Callable[..., Engine]) -> None:
    engine, before = begin(), len(os.listdir("/proc/self/fd"))
    process, home = engine._process.pid, Path(engine._home.name)
    assert (home / "left behind").exists()
    engine.close()
    engine.close()
    assert ended(process) and not home.exists() and len(os.listdir("/proc/self/fd")) == before - 3
    with pytest.raises(DataError, match="The counter does not continue this episode: it is closed"):
        engine.act(1)
    with pytest.raises(DataError, match="it is closed"):
        engine.frame()


def test_an_engine_is_closed_while_somebody_waits_for_it(begin: Callable[..., Engine]) -> None:
    engine, heard = begin(), []

    def wait() -> None:
        try:
            engine.frame(60)
        except DataError as error:
            heard.append(str(error))

    engine.act(17)
    waits = threading.Thread(target=wait)
    waits.start()
    time.sleep(0.2)
    engine.close()
    waits.join(30)
    assert heard == ["The counter does not continue this episode: it has ended."]


def test_failures_are_explained_and_leave_no_process(begin: Callable[..., Engine]) -> None:
    with pytest.raises(DataError, match=r"The counter does not continue this episode: the map is missing\.$"):
        begin(fails=True)
    engine = begin()
    engine.act(13)
    with pytest.raises(DataError, match=r"the engine crashed \(exit code 7\); it is superstitious"):
        engine.frame()
    engine = begin()
    engine.act(17)
    with pytest.raises(DataError, match="it takes too long"):
        engine.frame(0.1)


def test_a_program_that_takes_no_more_actions_does_not_block(begin: Callable[..., Engine]) -> None:
    engine = begin()
    engine.act(17)
    with pytest.raises(DataError, match="it no longer takes actions"):
        for _ in range(100_000):
            engine.act(0)
