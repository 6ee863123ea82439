import numpy as np
import pytest

from vqvae.data import FramesDataset, GymConfig, gym
from vqvae.errors import ConfigError, DataError, MissingExtraError

_ENVIRONMENTS = '''
import gymnasium, numpy as np

class Dot(gymnasium.Env):
    """A bright dot on a ring of 10 places; the episode ends at place 0."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}
    action_space = gymnasium.spaces.Discrete(3)
    observation_space = gymnasium.spaces.Discrete(10)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def get_action_meanings(self):
        return ["LEFT", "WAIT", "RIGHT"]

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(1, 10))
        return self.place, {**self.said(), "name": "dot"}

    def said(self):
        return {"place": self.place, "at": np.array([self.place, 7.0]), "map": np.full((5, 5), self.place, np.int8)}

    def step(self, action):
        self.place = (self.place + int(action) - 1) % 10
        return self.place, 0.0, self.place == 0, False, {**self.said(), "only": 1}

    def render(self):
        frame = np.zeros((10, 10, 3), np.uint8)
        frame[4:6, self.place] = 255
        return frame

class Road(Dot):
    """The same without waiting."""

    action_space = gymnasium.spaces.Discrete(2)

    def get_action_meanings(self):
        return ["LEFT", "RIGHT"]

    def step(self, action):
        return super().step(2 * action)

class Blind(Dot):
    metadata = {"render_modes": ["ansi"]}

class Steered(Dot):
    action_space = gymnasium.spaces.Box(-1.0, 1.0)

for kind in (Dot, Road, Blind, Steered):
    gymnasium.register(f"Tiny{kind.__name__}-v0", kind)
'''
_SMALL = {"episodes": 3, "steps": 40, "size": 10}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A package with environments, which can be imported while the tests of this file run."""
    pytest.importorskip("gymnasium")
    folder = tmp_path_factory.mktemp("package")
    (folder / "tiny_environments.py").write_text(_ENVIRONMENTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield lambda name: f"tiny_environments:Tiny{name}-v0"


@pytest.fixture(scope="module")
def played(environment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("played")
    config = GymConfig(environment=environment("Dot"), path=str(folder), **_SMALL)
    return config, config.build()


def _places(frames) -> list[int]:
    return frames[:, 0, 4].argmax(-1).tolist()


def test_frames_actions_and_what_the_environment_says_belong_together(played):
    _, (train, held_out) = played
    assert isinstance(train, FramesDataset) and (len(train), len(held_out)) == (80, 40)
    episodes = train.episodes
    assert episodes.action_names == ("left", "wait", "right") and episodes.frame_rate == 5
    assert episodes.pose_names == ("at_0", "at_1", "place") and list(episodes.extra) == ["map"]
    places = _places(episodes.frames)
    assert episodes.poses.tolist() == [[place, 7, place] for place in places]
    assert episodes.extra["map"][:, 2, 2].tolist() == places and episodes.extra["map"].shape == (80, 5, 5)
    same = np.diff(episodes.episode) == 0
    moved = (np.array(places[:-1]) + episodes.actions[:-1] - 1) % 10 == np.array(places[1:])
    assert moved[same].all()


def test_an_episode_that_ends_is_followed_by_another_in_its_row(played):
    _, (train, _) = played
    episodes = train.episodes
    assert len(episodes.names) > 2 and len(set(episodes.names)) == len(episodes.names)
    lasts = [_places(episodes.frames[episodes.frames_of(number)])[-1] for number in range(len(episodes.names))]
    assert lasts.count(0) >= len(lasts) - 2  # Each of the two rows is cut at its end.
    assert len({np.array(row).tobytes() for row in train.frames.reshape(2, 40, -1)}) == 2


def test_the_same_settings_give_the_same_frames_anew_and_another_seed_others(played, tmp_path):
    config, (train, _) = played
    for changes, is_same in (({}, True), ({"seed": 1}, False)):
        other = GymConfig(**{"environment": config.environment, "path": str(tmp_path), **_SMALL} | changes).build().train
        assert np.array_equal(other.frames, train.frames) == is_same and (other.name == train.name) == is_same


def test_clips_come_from_the_cache_and_lie_inside_episodes(played, monkeypatch):
    config, (train, _) = played
    monkeypatch.setattr(gym, "run_renderers", None)
    clips = GymConfig(environment=config.environment, path=config.path, clip_length=3, **_SMALL).build().train
    batch = clips.batch(np.arange(len(clips)))
    assert batch.x.shape[1:] == (3, 3, 10, 10) and clips.signal.sample_rate == 5
    places = batch.x[:, 0, :, 4].argmax(-1)
    assert (((places[:, :-1] + batch.condition.actions[:, :-1] - 1) % 10) == places[:, 1:]).all()


def test_a_script_is_followed_again_and_again(environment, tmp_path):
    settings = {"environment": environment("Dot"), "path": str(tmp_path), "episodes": 2, "steps": 12, "size": 10}
    train = GymConfig(actions=("right", "right", "left"), policy="script", **settings).build().train
    assert train.actions.tolist() == [2, 2, 0] * 4
    kept = GymConfig(actions=("left", "right"), persistence=0.9, **settings).build().train
    assert set(kept.actions) <= {0, 2} and (np.diff(kept.actions) == 0).mean() > 0.6


def test_a_rollout_goes_on_from_the_state_after_its_start(played):
    config, (_, held_out) = played
    episodes = held_out.episodes
    number = int(np.argmax(episodes.lengths))
    at = int(episodes.starts[number]) + 1
    found = config.rollouts([(number, 2), (number, 1)], ["left", "wait"], 12)
    place = _places(episodes.frames)[at]
    assert _places(found.frames[0, 1]) == [place] * 12 and found.lengths[0, 1] == 12
    assert found.lengths[0, 0] == place, "it ends at place 0"
    assert found.poses[0, 0, : found.lengths[0, 0], 2].tolist() == list(range(place - 1, -1, -1))
    assert not found.frames[0, 0, place:].any()
    with pytest.raises(ConfigError, match="no action 'jump'; the actions are left, wait, right"):
        config.rollouts([(0, 1)], ["jump"], 1)


def test_an_engine_goes_on_step_by_step_from_the_state_after_its_start(played):
    config, (_, held_out) = played
    episodes = held_out.episodes
    number = int(np.argmax(episodes.lengths))
    engine = episodes.live(number, 2)
    try:
        at = int(episodes.starts[number]) + 1
        assert np.array_equal(engine.first, episodes.frames[at])
        engine.act(1)
        assert np.array_equal(engine.frame(), episodes.frames[at]), "waiting changes nothing"
        for place in range(_places(episodes.frames)[at] - 1, -1, -1):
            engine.act(0)
            frame = engine.frame()
            assert frame is not None and _places(frame[None]) == [place]
        engine.act(2)
        assert engine.frame() is None and engine.is_over, "it ended at place 0"
    finally:
        engine.close()
    with pytest.raises(ConfigError, match="cannot start after 99 frames"):
        config.live(number, 99)


def test_an_engine_that_shows_another_start_is_refused(environment, tmp_path):
    config = GymConfig(environment=environment("Dot"), path=str(tmp_path), clip_length=2, **_SMALL)
    config.build()
    frames = np.load(next(tmp_path.glob("*/frames.npy")), mmap_mode="r+")
    frames[:] = 0
    frames.flush()
    with pytest.raises(DataError, match="does not repeat an episode from its seed and its actions"):
        config.live(0, 2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Blind", "it has no RGB rendering: 'rgb_array' is expected among its render modes, which are: ansi"),
        ("Steered", r"its actions are Box\(.*numbered ones \(Discrete\) are expected"),
        ("None", "there is no environment 'tiny_environments:TinyNone-v0' .*gymnasium.pprint_registry.* lists, or MODULE:NAME"),
    ],
)
def test_environments_that_cannot_be_played_are_explained(environment, tmp_path, name, words):
    with pytest.raises(DataError, match=words):
        GymConfig(environment=environment(name), path=str(tmp_path), **_SMALL).build()
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_an_unknown_action_is_explained(environment, tmp_path):
    with pytest.raises(ConfigError, match=r"GymConfig.actions has 'jump'; the actions of .* are left, wait, right\."):
        GymConfig(environment=environment("Dot"), path=str(tmp_path), actions=("jump",), **_SMALL).build()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"episodes": 1}, "episodes is 1; it must be at least 2"),
        ({"steps": 0}, "steps is 0; it must be at least 1"),
        ({"size": 0}, "GymConfig.size is 0"),
        ({"persistence": 1.0}, "persistence is 1.0; it must be at least 0 and below 1"),
        ({"clip_length": -1}, "clip_length is -1"),
        ({"policy": "script"}, "script needs actions"),
    ],
)
def test_wrong_settings_are_explained(tmp_path, changes, words):
    with pytest.raises(ConfigError, match=words):
        GymConfig(**{"environment": "crafter", "path": str(tmp_path)} | changes).build()


@pytest.mark.parametrize(("name", "package"), [("crafter", "crafter"), ("ALE/Pong-v5", "gymnasium"), ("CartPole-v1", "gymnasium")])
def test_a_missing_package_names_its_extra(tmp_path, monkeypatch, name, package):
    monkeypatch.setattr(gym.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*vqvae\[gym\]"):
        GymConfig(environment=name, path=str(tmp_path)).build()


@pytest.mark.slow
def test_crafter_is_the_same_in_every_process_and_says_where_the_player_is(tmp_path):
    pytest.importorskip("crafter")
    moves = ("move_left", "move_right", "move_up", "move_down")
    settings = {"environment": "crafter", "episodes": 2, "steps": 40, "size": (64, 72), "actions": moves, "persistence": 0.8}
    one, other = (GymConfig(path=str(tmp_path / name), **settings).build().train for name in "ab")
    np.testing.assert_array_equal(one.frames, other.frames)
    episodes = one.episodes
    assert episodes.frames.shape == (40, 3, 64, 72) and episodes.extra["semantic"].shape == (40, 64, 64)
    assert {"player_pos_0", "player_pos_1", "facing_0", "facing_1"} == {*episodes.pose_names}
    steps = np.abs(np.diff(episodes.poses[:, [episodes.pose_names.index(name) for name in ("player_pos_0", "player_pos_1")]], axis=0)).sum(
        1
    )
    assert set(steps) == {0, 1} or set(steps) == {1}


def test_atari_has_the_names_of_its_actions(tmp_path):
    pytest.importorskip("ale_py")
    train, _ = GymConfig(environment="ALE/Breakout-v5", episodes=2, steps=6, size=(52, 40), path=str(tmp_path)).build()
    assert train.action_names == ("noop", "fire", "right", "left") and train.frames.shape == (6, 3, 52, 40)
    assert "lives" in train.episodes.pose_names
