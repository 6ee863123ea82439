"""Play episodes of an environment into .npy files; the only importer of gymnasium (Towers et al. 2024, arXiv 2407.17032), crafter
(Hafner 2021, arXiv 2109.06780) and ale_py (Bellemare et al. 2013, arXiv 1207.4708).

``gym.py`` runs this file as a separate program, in an empty folder: environments may leave files, print, or crash. Therefore nothing here
imports from the package.
"""

import collections
import itertools
import json
import os
import random
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

_FEW, _MANY = 16, 2**16
"""The largest number of elements of a value of ``info`` that becomes a pose, and of one that is kept."""
_LEAST_CRAFTER = 9
"""The smallest height and width, in pixels: Crafter draws 9 by 9 cells."""


class Moment(NamedTuple):
    """One frame of an environment, with its ``info``."""

    frame: np.ndarray
    """uint8 (3, height, width)."""
    info: dict[str, Any]
    is_over: bool


class _Environment:
    """A Gymnasium environment with RGB rendering and numbered actions."""

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        import gymnasium

        if name.startswith("ALE/"):
            import ale_py

            gymnasium.register_envs(ale_py)
        self._size = size
        warnings.simplefilter("ignore")
        try:
            self._env = gymnasium.make(name, render_mode="rgb_array")
        except gymnasium.error.UnregisteredEnv as error:
            sys.exit(
                f"there is no environment {name!r} ({_line(error)}); give crafter, ALE/NAME-v5 for an Atari game, a name that "
                "gymnasium.pprint_registry() lists, or MODULE:NAME for one that a package registers"
            )
        except Exception as error:  # Environments raise all kinds of errors.
            sys.exit(f"the environment cannot be made with RGB rendering ({_line(error)})")
        if "rgb_array" not in self._env.metadata.get("render_modes", ()):
            modes = ", ".join(map(str, self._env.metadata.get("render_modes", ()))) or "none"
            sys.exit(f"it has no RGB rendering: 'rgb_array' is expected among its render modes, which are: {modes}")
        if not isinstance(self._env.action_space, gymnasium.spaces.Discrete):
            sys.exit(f"its actions are {_line(self._env.action_space)}; numbered ones (Discrete) are expected")
        count, meanings = int(self._env.action_space.n), getattr(self._env.unwrapped, "get_action_meanings", None)
        self.action_names = [str(word).lower() for word in meanings()] if meanings else [str(number) for number in range(count)]
        self._first = int(self._env.action_space.start)
        self.frame_rate = self._env.metadata.get("render_fps")

    def reset(self, seed: int) -> Moment:
        _, info = self._env.reset(seed=seed)
        return Moment(self._frame(), info, False)

    def step(self, action: int) -> Moment:
        _, _, is_terminated, is_truncated, info = self._env.step(self._first + action)
        return Moment(self._frame(), info, bool(is_terminated or is_truncated))

    def _frame(self) -> np.ndarray:
        drawn = np.asarray(self._env.render())
        if drawn.dtype != np.uint8 or drawn.ndim != 3 or drawn.shape[2] != 3:
            sys.exit(f"it renders {drawn.dtype} {drawn.shape}; RGB frames are expected, uint8 (height, width, 3)")
        height, width = self._size
        return np.asarray(Image.fromarray(drawn).resize((width, height), Image.Resampling.LANCZOS)).transpose(2, 0, 1)


class _Crafter:
    """Crafter through its own constructor, which needs no Gymnasium. It draws frames at the requested size."""

    frame_rate = None

    def __init__(self, size: tuple[int, int]) -> None:
        # Crafter does not need gym, but would import any folder of this name.
        sys.modules["gym"] = None  # type: ignore[assignment]
        import crafter

        if min(size) < _LEAST_CRAFTER:
            sys.exit(f"Crafter draws frames of at least {_LEAST_CRAFTER} x {_LEAST_CRAFTER} pixels; the size is {size[0]} x {size[1]}")

        class World(crafter.engine.World):
            """Crafter's world, made deterministic. Crafter keeps creatures in sets, and their order differs between processes."""

            def reset(self, seed: int | None = None) -> None:
                super().reset(seed)
                self._chunks = collections.defaultdict(_Ordered)  # type: ignore[assignment]

        # Any: Crafter's player is None until the first reset, and its types say so ever after.
        self._env: Any = crafter.Env(size=size[::-1], seed=0)
        self._env._world.__class__ = World
        self.action_names = list(self._env.action_names)

    def reset(self, seed: int) -> Moment:
        self._env._seed, self._env._episode = seed, 0
        return self._moment(self._env.reset(), False)

    def step(self, action: int) -> Moment:
        drawn, _, is_over, _ = self._env.step(action)
        return self._moment(drawn, bool(is_over))

    def _moment(self, drawn: np.ndarray, is_over: bool) -> Moment:
        # Crafter's own info is missing after a reset.
        player = self._env._player
        info = {"player_pos": player.pos, "facing": player.facing, "semantic": self._env._sem_view().astype(np.uint8)}
        return Moment(drawn.transpose(2, 0, 1), info, is_over)


class _Ordered(dict):
    """A set that keeps the order of insertion."""

    def add(self, thing: Any) -> None:
        self[thing] = None

    def remove(self, thing: Any) -> None:
        del self[thing]


def _line(words: Any) -> str:
    """The first line of a message that an environment gives, without its full stop."""
    return (str(words).strip() or type(words).__name__).splitlines()[0].rstrip(".")


def _made(name: str, size: tuple[int, int]) -> "_Environment | _Crafter":
    return _Crafter(size) if name == "crafter" else _Environment(name, size)


def _seed(seed: str, number: int) -> int:
    """The seed of an episode, from the seed of its row and its number in the row."""
    return random.Random(f"{seed}/{number}").getrandbits(31)


def _parts(info: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """The values of ``info`` that are numbers."""
    for name in sorted(info):
        try:
            value = np.asarray(info[name])
        except ValueError:
            continue
        if name.isidentifier() and value.dtype.kind in "biuf" and 0 < value.size <= _MANY:
            yield name, value


def _pose(info: dict[str, Any]) -> dict[str, float]:
    """The numbers in short values of ``info``, by name."""
    pose = {}
    for name, value in _parts(info):
        if value.size <= _FEW:
            names = [name] if value.size == 1 else [f"{name}_{index}" for index in range(value.size)]
            pose |= dict(zip(names, value.ravel().astype(float).tolist(), strict=True))
    return pose


def _describe(environment: str, size: tuple[int, int], path: str) -> None:
    """Write a JSON file that describes the environment: its actions, its frame rate, and the values of ``info`` that are always there."""
    env = _made(environment, size)
    info = env.reset(0).info
    both = {name: info[name] for name in env.step(0).info if name in info}
    extra = {name: [value.dtype.str, value.shape] for name, value in _parts(both) if value.size > _FEW}
    about = {"actions": env.action_names, "poses": list(_pose(both)), "extra": extra, "frame_rate": env.frame_rate}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(about, file)


def _choices(seed: str, allowed: list[int], persistence: float | None) -> Iterator[int]:
    """An endless sequence of actions: random ones, each repeated with a probability, or the allowed ones in order if it is None."""
    if persistence is None:
        yield from itertools.cycle(allowed)
        return
    # random() gives the same numbers in every release of Python.
    source, action = random.Random(seed), None
    while True:
        if action is None or source.random() >= persistence:
            action = allowed[int(source.random() * len(allowed))]
        yield action


def _play(
    rows: list[tuple[int, str]], environment: str, size: tuple[int, int], allowed: list[int], persistence: float | None, folder: str
) -> None:
    """Fill rows of the arrays in ``folder``. When an episode is over, the next one begins in the same row."""
    arrays = {name.removesuffix(".npy"): _array(folder, name) for name in os.listdir(folder) if name.endswith(".npy")}
    env = _made(environment, size)
    poses = _pose_names(folder)
    for row, seed in rows:
        choices, number = _choices(seed, allowed, persistence), 0
        moment = env.reset(_seed(seed, number))
        for time in range(arrays["frames"].shape[1]):
            if time and moment.is_over:
                number += 1
                moment = env.reset(_seed(seed, number))
            elif time:
                moment = env.step(int(arrays["actions"][row, time - 1]))
            _keep(arrays, (row, time), moment, poses)
            arrays["numbers"][row, time], arrays["actions"][row, time] = number, next(choices)
    for array in arrays.values():
        array.flush()


def _keep(arrays: dict[str, np.memmap], place: tuple[int, ...], moment: Moment, poses: list[str]) -> None:
    """Write a moment into the arrays. Values missing in ``info`` become NaN in poses, and 0 elsewhere."""
    arrays["frames"][place] = moment.frame
    if poses:
        pose = _pose(moment.info)
        arrays["poses"][place] = [pose.get(name, np.nan) for name in poses]
    for name, value in _parts(moment.info):
        array = arrays.get(f"extra-{name}")
        if array is not None and value.shape == array.shape[len(place) :]:
            array[place] = value


def _roll(
    rollouts: list[tuple[int, str, int, int, int, int]], held: list[int], environment: str, size: tuple[int, int], walks: str, folder: str
) -> None:
    """Repeat the start of episodes, then hold an action.

    Args:
        rollouts: row of the arrays in ``folder``, seed, number of the episode in its row, and row and time in ``walks`` of its first frame;
            then how many of its frames to repeat.
    """
    arrays = {name: _array(folder, f"{name}.npy") for name in ("frames", "poses", "lengths")}
    seen, done = (_array(walks, f"{name}.npy", "r") for name in ("frames", "actions"))
    env, poses = _made(environment, size), _pose_names(walks)
    for row, seed, number, walk, first, context in rollouts:
        last = first + context - 1
        for column, action in enumerate(held):
            moment = _repeat(env, _seed(seed, number), done[walk, first:last].tolist(), seen[walk, last])
            for time in range(arrays["frames"].shape[2]):
                if moment.is_over:
                    break
                moment = env.step(action)
                _keep(arrays, (row, column, time), moment, poses)
                arrays["lengths"][row, column] = time + 1
    for array in arrays.values():
        array.flush()


def _repeat(env: "_Environment | _Crafter", seed: int, actions: list[int], expected: np.ndarray) -> Moment:
    """Repeat the start of an episode, and return its last moment."""
    moment = env.reset(seed)
    for action in actions:
        moment = env.step(action)
    if not (moment.frame == expected).all():
        sys.exit("it does not repeat an episode from its seed and its actions, so nothing can follow one")
    return moment


def _live(walk: tuple[str, int, int, int, int], environment: str, size: tuple[int, int], walks: str, commands: int, answers: int) -> None:
    """Repeat the start of an episode, then act as commanded; ``engines.py`` describes commands and answers.

    Args:
        walk: seed, number of the episode in its row, row and time in ``walks`` of its first frame, and how many of its frames to repeat.
    """
    seed, number, row, first, context = walk
    seen, done = (_array(walks, f"{name}.npy", "r") for name in ("frames", "actions"))
    env, last = _made(environment, size), first + context - 1
    moment = _repeat(env, _seed(seed, number), done[row, first:last].tolist(), seen[row, last])
    with open(commands, encoding="ascii") as asked, open(answers, "wb") as told:
        told.write(b"\0" + moment.frame.tobytes())
        told.flush()
        for line in asked:
            # The moment of the end has a frame of its own, and nothing follows it.
            moment = None if moment is None or moment.is_over else env.step(int(line))
            told.write(b"\1" if moment is None else b"\0" + moment.frame.tobytes())
            told.flush()
            if moment is None:
                break


def _pose_names(folder: str) -> list[str]:
    with open(os.path.join(folder, "about.json"), encoding="utf-8") as file:
        return json.load(file)["poses"]


def _array(folder: str, name: str, mode: Any = "r+") -> np.memmap:
    return np.lib.format.open_memmap(os.path.join(folder, name), mode)


if __name__ == "__main__":
    _task = json.loads(sys.argv[1])
    _task["size"] = tuple(_task["size"])
    try:
        (_describe if "path" in _task else _live if "walk" in _task else _roll if "rollouts" in _task else _play)(**_task)
    except Exception as _error:  # Environments raise all kinds of errors; the message is the reason.
        sys.exit(_line(_error))
