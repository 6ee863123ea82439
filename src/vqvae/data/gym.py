"""Episodes of Gymnasium environments, Crafter and Atari games, played when they are first needed."""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from vqvae.config import INCIDENTAL, SEED, check_at_least, settings, to_json
from vqvae.data.base import Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.engines import Engine
from vqvae.data.episodes import Episodes, dataset_of, examples_of, frame_size
from vqvae.data.renderers import make_arrays, run_renderers, worker_count
from vqvae.data.rollouts import Rollouts, Start, check_starts, kept_rollouts
from vqvae.data.split import HELD_OUT_SHARE
from vqvae.disk import atomic_folder, exists, locked, safe_name
from vqvae.errors import ConfigError, DataError, MissingExtraError
from vqvae.seeding import mix

_log = logging.getLogger(__name__)

_PLAYER = Path(__file__).with_name("play.py")
_CRASH = "run it by itself to see why"
_VERSION = 1  # Of how episodes are played. A change makes other frames, which need another place in the cache.
_ADVICE = f"{ADVICE[:-1]}, or give another one with --data."


@settings
class GymConfig:
    """Episodes of an environment, with random or scripted actions.

    The last 5 % of the rows of ``steps`` frames, at least one, are held out. Short values in the environment's ``info`` become poses, and
    larger arrays ``extra``: in Crafter, the player's position and direction, and the map. If the environment is deterministic, the same
    settings give the same frames, whether cached or played again.
    """

    kept_in: ClassVar[tuple[str, str]] = ("path", "*/frames.npy")
    """The field with the cache folder, and a pattern that matches the files in it."""

    environment: str = dataclasses.field(metadata={"value": "NAME"})
    """crafter, ALE/NAME-v5 for an Atari game, another name in Gymnasium's registry, or MODULE:NAME for one that a package registers."""
    episodes: int = 100
    """Number of rows of frames, each with its own seed."""
    steps: int = 200
    """Frames per row. If an episode ends earlier, the next one begins in the same row."""
    size: int | tuple[int, int] = dataclasses.field(default=64, metadata={"value": "N [N]"})
    """Height and width in pixels; one number for squares. The whole picture is resized; its aspect ratio may change."""
    seed: int = dataclasses.field(default=0, metadata=SEED)
    """Seed of the episodes."""
    clip_length: int = 0
    """Frames per clip. 0: single frames."""
    actions: tuple[str, ...] = dataclasses.field(default=(), metadata={"value": "NAME ..."})
    """The names of the actions to choose from. Default: all."""
    policy: Literal["random", "script"] = "random"
    """random: random actions. script: ``actions`` in the given order, repeated."""
    persistence: float = 0.5
    """The probability that a random action is repeated at the next frame."""
    path: str | None = dataclasses.field(default=None, metadata=INCIDENTAL | {"value": "FOLDER"})
    """The folder for played episodes; default: ~/.cache/vqvae/gym."""

    def build(self) -> Splits:
        """Play the episodes, or load them from the cache.

        Raises:
            ConfigError: if a number is out of range, or an action is unknown.
            DataError: if there is no such environment, it has no RGB rendering, or its actions are not numbered.
            MissingExtraError: if the package of the environment is not installed.
        """
        train, held_out = _sides(self)
        continued = dataclasses.replace(_episodes(held_out), engine=self.rollouts, live=self.live)
        sides = ((_episodes(train), train.name), (continued, held_out.name))
        splits = Splits(*(dataset_of(episodes, self.clip_length, name) for episodes, name in sides))
        return splits.say(examples_of(self.environment, self.clip_length))

    def rollouts(self, starts: Sequence[Start], actions: Sequence[str], frames: int) -> Rollouts:
        """Repeat the start of held-out episodes in the environment, then hold each of the actions; see ``WorldsConfig.rollouts``.

        Raises:
            ConfigError: if an action is unknown, or a start lies outside its episode.
            DataError: if the environment does not repeat an episode, or as ``build``.
        """
        return _rollouts(self, starts, actions, frames)

    def live(self, number: int, context: int) -> Engine:
        """Repeat the start of a held-out episode in the environment, to continue it step by step; see ``WorldsConfig.live``.

        Raises:
            ConfigError: if the start lies outside its episode.
            DataError: if the environment does not repeat the episode, or as ``build``.
        """
        return _live(self, (number, context))


class _Side(NamedTuple):
    """The rows of one side, and the folder that has them."""

    name: str
    folder: Path
    rows: range
    config: GymConfig
    about: dict[str, Any]


def _sides(config: GymConfig) -> tuple[_Side, _Side]:
    check_at_least(2, config, "episodes")
    check_at_least(1, config, "steps")
    frame_size(config.size, "GymConfig")
    if not 0 <= config.persistence < 1:
        raise ConfigError(f"GymConfig.persistence is {config.persistence}; it must be at least 0 and below 1.")
    if config.policy == "script" and not config.actions:
        raise ConfigError("GymConfig.policy is script; a script needs actions. Give their names in order.")
    packages = {name: importlib.metadata.version(name) for name in _packages(config.environment)}
    identity = {**to_json(config), "version": _VERSION, "packages": packages, "path": None, "clip_length": 0}
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=8).hexdigest()
    folder = _root(config) / f"{safe_name(config.environment)}-{digest}"
    if not exists(folder):
        with locked(folder, DataError, _ADVICE):
            if not folder.is_dir():
                with atomic_folder(folder, DataError, _ADVICE) as partial:
                    _play(config, partial)
                    (partial / "config.json").write_text(json.dumps(identity, indent=2) + "\n")
    about = json.loads((folder / "about.json").read_text())
    train = config.episodes - max(1, round(HELD_OUT_SHARE * config.episodes))
    names = (("train", range(train)), ("held-out", range(train, config.episodes)))
    first, second = (_Side(f"gym-{digest}-{name}", folder, rows, config, about) for name, rows in names)
    return first, second


def _packages(environment: str) -> list[str]:
    """The packages that an environment needs, after a check that they are installed."""
    needed = ["crafter"] if environment == "crafter" else ["gymnasium", *(["ale-py"] if environment.startswith("ALE/") else [])]
    for name in needed:
        if importlib.util.find_spec(name.replace("-", "_")) is None:
            raise MissingExtraError(name, "gym")
    return needed


def _root(config: GymConfig) -> Path:
    return user_path(config.path) if config.path is not None else user_cache() / "gym"


def _row_seed(config: GymConfig, row: int) -> str:
    return str(mix(config.seed, "gym", config.environment, row))


def _play(config: GymConfig, folder: Path) -> None:
    """Write frames.npy, actions.npy, numbers.npy (of each episode in its row), and arrays for ``info``, all (episodes, steps, ...)."""
    size = frame_size(config.size, "GymConfig")
    common = {"environment": config.environment, "size": size}
    place = folder / "about.json"
    _run([{**common, "path": str(place.resolve())}], folder, config)
    about = json.loads(place.read_text())
    known, allowed = about["actions"], config.actions or tuple(about["actions"])
    for name in allowed:
        if name not in known:
            raise ConfigError(f"GymConfig.actions has {name!r}; the actions of {config.environment} are {', '.join(known)}.")
    shape = (config.episodes, config.steps)
    arrays: dict[str, tuple[Any, tuple[int, ...]]] = {
        f"extra-{name}": (kind, (*shape, *own)) for name, (kind, own) in about["extra"].items()
    }
    if about["poses"]:
        arrays["poses"] = (np.float32, (*shape, len(about["poses"])))
    make_arrays(folder, frames=(np.uint8, (*shape, 3, *size)), actions=(np.int64, shape), numbers=(np.int64, shape), **arrays)
    workers = worker_count(config.episodes)
    _log.info("Playing %d x %d frames of %s with %d processes.", *shape, config.environment, workers)
    common |= {
        "allowed": [known.index(name) for name in allowed],
        "persistence": config.persistence if config.policy == "random" else None,
        "folder": str(folder.resolve()),
    }
    rows = [(row, _row_seed(config, row)) for row in range(config.episodes)]
    _run([{**common, "rows": rows[worker::workers]} for worker in range(workers)], folder, config)


def _run(tasks: Sequence[dict[str, Any]], folder: Path, config: GymConfig) -> None:
    run_renderers(_PLAYER, tasks, folder, f"The environment {config.environment!r}", _CRASH)


def _episodes(side: _Side) -> Episodes:
    def rows(name: str) -> Any:
        array = np.load(side.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)[side.rows.start : side.rows.stop]
        return np.asarray(array.reshape(-1, *array.shape[2:]))

    numbers = np.repeat(side.rows, side.config.steps) * side.config.steps + rows("numbers")
    found, about = np.unique(numbers), side.about
    return Episodes(
        frames=rows("frames"),
        episode=numbers,
        names=tuple(f"{_row_seed(side.config, row)}/{number}" for row, number in (divmod(int(one), side.config.steps) for one in found)),
        actions=rows("actions"),
        action_names=tuple(about["actions"]),
        poses=rows("poses") if about["poses"] else None,
        pose_names=tuple(about["poses"]),
        frame_rate=float(about["frame_rate"]) if about["frame_rate"] else None,
        extra={name: rows(f"extra-{name}") for name in about["extra"]},
    )


def _rollouts(config: GymConfig, starts: Sequence[Start], actions: Sequence[str], frames: int) -> Rollouts:
    _, side = _sides(config)
    episodes = _episodes(side)
    held = check_starts(episodes, starts, actions, frames)

    def fill(folder: Path) -> None:
        shape, size = (len(starts), len(held), frames), frame_size(config.size, "GymConfig")
        poses = (np.float32, (*shape, max(1, len(side.about["poses"]))))  # An empty file cannot be memory-mapped.
        make_arrays(folder, frames=(np.uint8, (*shape, 3, *size)), poses=poses, lengths=(np.int64, shape[:2]))
        rows = []
        for row, start in enumerate(starts):
            rows.append((row, *_place(side, episodes, start)))
        task = {"held": held, "environment": config.environment, "size": size}
        task |= {"walks": str(side.folder.resolve()), "folder": str(folder.resolve())}
        workers = worker_count(len(rows))
        _run([{**task, "rollouts": rows[worker::workers]} for worker in range(workers)], folder, config)

    return kept_rollouts(_root(config), side.folder.name, [starts, actions, frames], fill)


def _live(config: GymConfig, start: Start) -> Engine:
    _, side = _sides(config)
    episodes = _episodes(side)
    check_starts(episodes, [start], episodes.action_names, 1)
    size = frame_size(config.size, "GymConfig")
    task = {"walk": _place(side, episodes, start), "environment": config.environment, "size": size, "walks": str(side.folder.resolve())}
    return Engine(_PLAYER, task, (3, *size), f"The environment {config.environment!r}", _CRASH)


def _place(side: _Side, episodes: Episodes, start: Start) -> tuple[str, int, int, int, int]:
    """What repeats the start of an episode: seed and number of the episode in its row, row and time of its first frame, and frames."""
    number, context = start
    seed, _, own = episodes.names[number].rpartition("/")
    row, first = divmod(int(episodes.starts[number]), side.config.steps)
    return seed, int(own), side.rows.start + row, first, context
