import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from vqvae.data import WorldsConfig
from vqvae.errors import ConfigError, DataError, MissingExtraError

pytest.importorskip("vizdoom")

_SMALL = {"episodes": 4, "frames_per_episode": 30, "size": 24}


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """Four short walks, and the folder that keeps them."""
    folder = tmp_path_factory.mktemp("worlds")
    here = set(os.listdir())
    splits = WorldsConfig(path=str(folder), **_SMALL).build()
    assert set(os.listdir()) == here, "the engine left files in the working folder"
    return splits, folder


def test_whole_episodes_are_held_out(worlds):
    (train, held_out), _ = worlds
    assert train.frames.shape == (90, 3, 24, 24) and held_out.frames.shape == (30, 3, 24, 24)
    assert train.episode.tolist() == np.repeat([0, 1, 2], 30).tolist() and set(held_out.episode) == {3}
    walks = [*train.frames.reshape(3, -1), held_out.frames.ravel()]
    assert len({walk.tobytes() for walk in walks}) == 4


def test_a_batch_is_frames_with_the_action_of_each(worlds):
    (train, _), _ = worlds
    batch = train.batch(np.array([40, 2]))
    np.testing.assert_array_equal(batch.x.numpy(), train.frames[[40, 2]])
    assert batch.condition.actions.tolist() == train.actions[[40, 2], None].tolist()
    assert train.action_names[0] == "forward"


def test_frames_change_and_all_kinds_of_action_come(worlds):
    (train, _), _ = worlds
    frames = train.frames.reshape(3, 30, -1).astype(int)
    change = np.abs(np.diff(frames, axis=1)).mean(-1)
    assert (change > 1).mean() > 0.8
    assert frames.std(-1).mean() > 15  # A wall in front of the nose is flat.
    assert len(set(train.actions)) >= 3


def test_a_turn_moves_the_picture_the_other_way(worlds):
    (train, held_out), _ = worlds
    votes = []
    for dataset in (train, held_out):
        rows = dataset.frames.astype(float).mean(1)
        for index in range(len(dataset) - 1):
            name = dataset.action_names[dataset.actions[index]]
            if dataset.episode[index] == dataset.episode[index + 1] and name in ("left", "right"):
                now, then = rows[index], rows[index + 1]
                # 16 of the 74 degrees that the picture spans are about a fifth of its width.
                to_right = np.abs(then[:, 5:] - now[:, :-5]).mean()
                to_left = np.abs(then[:, :-5] - now[:, 5:]).mean()
                votes.append((to_right < to_left) == (name == "left"))
    assert len(votes) > 5 and np.mean(votes) > 0.8


def test_the_same_settings_give_the_same_frames_anew_and_from_the_cache(worlds, tmp_path):
    (train, held_out), folder = worlds
    anew = WorldsConfig(path=str(tmp_path), **_SMALL).build()
    np.testing.assert_array_equal(train.frames, anew.train.frames)
    np.testing.assert_array_equal(train.actions, anew.train.actions)
    assert anew.train.name == train.name != held_out.name
    kept = next(folder.glob("*/frames.npy"))
    before = kept.stat().st_mtime_ns
    np.testing.assert_array_equal(WorldsConfig(path=str(folder), **_SMALL).build().train.frames, train.frames)
    assert kept.stat().st_mtime_ns == before


def test_an_episode_does_not_depend_on_how_many_there_are_and_the_seed_matters(worlds, tmp_path):
    (train, _), _ = worlds
    fewer = WorldsConfig(path=str(tmp_path), **_SMALL | {"episodes": 2}).build().train
    np.testing.assert_array_equal(fewer.frames, train.frames[:30])
    other = WorldsConfig(path=str(tmp_path), **_SMALL | {"episodes": 2, "seed": 1}).build().train
    assert (other.frames != fewer.frames).any() and other.name != fewer.name


def test_wrong_settings_are_explained(tmp_path):
    with pytest.raises(ConfigError, match=r"scenario is 'my_way'; it must be one of \[.*'my_way_home'"):
        WorldsConfig(path=str(tmp_path), scenario="my_way").build()
    with pytest.raises(ConfigError, match="episodes is 1; it must be at least 2"):
        WorldsConfig(path=str(tmp_path), episodes=1).build()


def test_a_scenario_that_crashes_the_engine_is_an_error(tmp_path):
    with pytest.raises(DataError, match="'multi_duel' was not rendered: the engine crashed"):
        WorldsConfig(path=str(tmp_path), scenario="multi_duel", **_SMALL).build()
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")]


def test_an_engine_that_outlives_its_renderer_is_stopped_before_its_folder_is_removed(monkeypatch, tmp_path):
    engine = "import pathlib, time\nend = time.time() + 20\nwhile time.time() < end: pathlib.Path(str(time.time_ns())).touch()"
    renderer = tmp_path / "renderer.py"
    renderer.write_text(
        f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {engine!r}, 'engine of the test'])\n"
        "time.sleep(0.5)\nsys.exit(3)"
    )
    monkeypatch.setattr("vqvae.data.worlds._RENDERER", renderer)
    with pytest.raises(DataError, match="was not rendered"):
        WorldsConfig(path=str(tmp_path / "frames"), **_SMALL).build()
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(b"engine of the test" in command for command in commands)


def test_a_missing_package_names_its_extra(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "vizdoom" else find(name))
    with pytest.raises(MissingExtraError, match=r"vqvae\[worlds\]"):
        WorldsConfig(path=str(tmp_path)).build()


def test_the_package_is_not_imported_with_the_rest():
    code = "import sys, vqvae.data; sys.exit('vizdoom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _renderers(folder: Path) -> list[int]:
    """Processes that render into ``folder``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"render.py" in command and str(folder).encode() in command:
            found.append(int(process.name))
    return found


def _comes_true(condition) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_a_killed_render_leaves_neither_processes_nor_half_a_cache(tmp_path):
    code = f"from vqvae.data import WorldsConfig; WorldsConfig(path={str(tmp_path)!r}, episodes=4000).build()"
    process = subprocess.Popen([sys.executable, "-c", code])
    assert _comes_true(lambda: _renderers(tmp_path))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    try:
        assert _comes_true(lambda: not _renderers(tmp_path))
    finally:
        for number in _renderers(tmp_path):
            os.kill(number, signal.SIGKILL)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
