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


def test_what_an_earlier_release_rendered_is_found_again_and_gets_poses_only_for_clips(worlds, tmp_path):
    (train, _), folder = worlds
    kept = next(folder.glob("*/frames.npy")).parent
    assert kept.name == "my_way_home-479b9e28f3395220", "the name of the folder must not change"
    old = tmp_path / kept.name
    old.mkdir()
    for name in ("frames.npy", "actions.npy", "config.json"):
        (old / name).write_bytes((kept / name).read_bytes())
    assert WorldsConfig(path=str(tmp_path), **_SMALL).build().train.episodes.poses is None
    assert not (old / "poses.npy").exists()
    clips = WorldsConfig(path=str(tmp_path), clip_length=5, **_SMALL).build().train
    np.testing.assert_array_equal(clips.episodes.frames, train.frames)
    np.testing.assert_array_equal(clips.episodes.poses, train.episodes.poses)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [kept.name]


def test_clips_are_cut_from_the_same_frames_and_have_a_rate(worlds):
    (train, held_out), folder = worlds
    clips, unseen = WorldsConfig(path=str(folder), clip_length=5, **_SMALL).build()
    batch = clips.batch(np.array([0, 26]))
    np.testing.assert_array_equal(batch.x[1].numpy().swapaxes(0, 1), train.frames[30:35])
    assert batch.condition.actions[1].tolist() == train.actions[30:35].tolist()
    assert len(clips) == 3 * 26 and len(unseen) == 26 and clips.signal.sample_rate == 8.75
    np.testing.assert_array_equal(unseen.episodes.frames, held_out.frames)
    assert clips.found[0].startswith("Clips of 5 frames of ") and clips.found[0].endswith(": 78 to train on, 26 held out.")


def test_poses_move_as_the_actions_say(worlds):
    (train, _), _ = worlds
    episodes = train.episodes
    assert episodes.pose_names == ("x", "y", "angle") and episodes.poses.shape == (90, 3)
    same = np.diff(episodes.episode) == 0
    turn = (np.diff(episodes.poses[:, 2]) + 180) % 360 - 180
    step = np.hypot(*np.diff(episodes.poses[:, :2], axis=0).T)
    done = np.array(train.action_names)[episodes.actions[:-1]]
    for name, degrees in (("forward", 0), ("left", 16), ("forward_right", -16)):
        assert np.allclose(turn[same & (done == name)], degrees, atol=1), name
    assert step[same & (done == "forward")].mean() > 10


def test_more_maps_and_a_held_out_map(worlds, tmp_path):
    (train, _), _ = worlds
    small = {**_SMALL, "episodes": 2, "clip_length": 3, "path": str(tmp_path)}
    both = WorldsConfig(scenarios=("take_cover",), held_out_scenario="basic", **small)
    clips, unseen = both.build()
    assert [name.partition("/")[0] for name in clips.episodes.names] == ["my_way_home", "take_cover"]
    assert [name.partition("/")[0] for name in unseen.episodes.names] == ["basic", "basic"]
    np.testing.assert_array_equal(clips.episodes.frames[:30], train.frames[:30])
    known = WorldsConfig(scenarios=("take_cover",), **small).build()
    assert known.train.name == clips.name and known.held_out.name != unseen.name
    assert [name.partition("/")[0] for name in known.held_out.episodes.names] == ["my_way_home", "take_cover"]
    assert len({name for side in (*known, unseen) for name in side.episodes.names}) == 6


def test_a_rollout_goes_on_as_the_walk_did_and_another_action_goes_elsewhere(worlds):
    (_, held_out), folder = worlds
    episodes, names = held_out.episodes, held_out.action_names
    done = [names[action] for action in episodes.actions]
    # The first frame from which the walker did the same thing twice.
    context = next(frame for frame in range(1, 28) if done[frame - 1] == done[frame])
    other = "left" if done[context] != "left" else "right"
    found = WorldsConfig(path=str(folder), **_SMALL).rollouts([(0, context), (0, 20)], [done[context], other], 3)
    assert found.frames.shape == (2, 2, 3, 3, 24, 24) and found.lengths.tolist() == [[3, 3], [3, 3]]
    np.testing.assert_array_equal(found.frames[0, 0, :2], episodes.frames[context : context + 2])
    np.testing.assert_array_equal(found.poses[0, 0, :2], episodes.poses[context : context + 2])
    turned = (found.poses[0, 1, :, 2] - episodes.poses[context - 1, 2] + 180) % 360 - 180
    np.testing.assert_allclose(turned, (16 if other == "left" else -16) * np.arange(1, 4), atol=1)
    with pytest.raises(ConfigError, match="no action 'jump'"):
        WorldsConfig(path=str(folder), **_SMALL).rollouts([(0, 1)], ["jump"], 1)


def test_wrong_settings_are_explained(tmp_path):
    with pytest.raises(ConfigError, match=r"scenario is 'my_way'; it must be one of \[.*'my_way_home'"):
        WorldsConfig(path=str(tmp_path), scenario="my_way").build()
    with pytest.raises(ConfigError, match="episodes is 1; it must be at least 2"):
        WorldsConfig(path=str(tmp_path), episodes=1).build()
    with pytest.raises(ConfigError, match="names the scenario 'basic' twice"):
        WorldsConfig(path=str(tmp_path), scenario="basic", held_out_scenario="basic").build()
    with pytest.raises(ConfigError, match="clip_length is -1; it must lie between 0"):
        WorldsConfig(path=str(tmp_path), clip_length=-1).build()


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


def test_the_engine_goes_on_step_by_step_as_the_walk_did(worlds):
    held_out = worlds[0].held_out.episodes
    engine = held_out.live(0, 5)
    try:
        assert np.array_equal(engine.first, held_out.frames[4])
        for time in range(4, 12):
            engine.act(int(held_out.actions[time]))
            assert np.array_equal(engine.frame(), held_out.frames[time + 1])
        engine.act((int(held_out.actions[12]) + 1) % len(held_out.action_names))
        assert not np.array_equal(engine.frame(), held_out.frames[13]), "another action leads elsewhere"
    finally:
        engine.close()
