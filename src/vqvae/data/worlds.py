"""Frames of 3-D worlds with the actions between them, rendered when needed, as in experiment E4 of [VQVAE §4.1].

Differs from the paper: its frames come from DeepMind Lab, which has no package to install; ours come from ViZDoom.
"""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from vqvae.config import INCIDENTAL, SEED, check_at_least, settings, to_json
from vqvae.data.base import Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.engines import Engine
from vqvae.data.episodes import Episodes, dataset_of, examples_of, frame_size
from vqvae.data.renderers import make_arrays, run_renderers, worker_count
from vqvae.data.rollouts import Rollouts, Start, check_starts, kept_rollouts
from vqvae.data.split import HELD_OUT_SHARE
from vqvae.disk import atomic_folder, exists, locked
from vqvae.errors import ConfigError, DataError, MissingExtraError
from vqvae.seeding import mix

_log = logging.getLogger(__name__)

ACTION_NAMES = ("forward", "left", "right", "forward_left", "forward_right")
"""Walk, turn on the spot, or both at once. A turn is 4 degrees for each tic of ``frame_skip``."""
POSE_NAMES = ("x", "y", "angle")
"""x and y in map units, and the angle in degrees, counterclockwise from the x axis."""
_TICS = 35.0
"""Tics per second."""
_RENDERER = Path(__file__).with_name("render.py")
_CRASH = "not every scenario runs without other players"
_VERSION = 1  # Of the explorer and the view. A change to either makes other frames, which need another place in the cache.
_SHORT_VERSION = 2  # The same for one or two tics a frame, when the explorer holds its decisions for several frames.


@settings
class WorldsConfig:
    """The view of a walker who explores a ViZDoom map: the central 240 by 240 pixels of 320 by 240, antialiased to ``size``.

    Monsters, weapon and status bar are off. The last 5 % of the episodes of each map, at least one, are held out. The same settings give
    the same frames, whether cached or rendered again.
    """

    kept_in: ClassVar[tuple[str, str]] = ("path", "*/frames.npy")
    """The field with the cache folder, and a pattern that matches the files in it."""

    path: str | None = dataclasses.field(default=None, metadata=INCIDENTAL | {"value": "FOLDER"})
    """The folder for rendered frames; default: ~/.cache/vqvae/worlds."""
    scenario: str = dataclasses.field(default="my_way_home", metadata={"value": "NAME"})
    """One of ViZDoom's scenarios. my_way_home has corridors and rooms with many kinds of walls."""
    episodes: int = 100
    """Number of walks, each from a random place."""
    frames_per_episode: int = 200
    """Frames per walk."""
    size: int = 84
    """Height and width in pixels."""
    seed: int = dataclasses.field(default=0, metadata=SEED)
    """Seed of the walks."""
    frame_skip: int = 4
    """Tics (1/35 s) from one frame to the next. The action lasts as long."""
    scenarios: tuple[str, ...] = dataclasses.field(default=(), metadata={"value": "NAME ..."})
    """More maps, with as many episodes each."""
    held_out_scenario: str | None = dataclasses.field(default=None, metadata={"value": "NAME"})
    """A map for the held-out side only: its walks replace the held-out walks of the other maps. The training side stays the same."""
    clip_length: int = 0
    """Frames per clip. 0: single frames."""

    def build(self) -> Splits:
        """Render the episodes, or load them from the cache.

        Raises:
            ConfigError: if a number is too small, or a scenario is unknown.
            DataError: if a scenario cannot be rendered.
            MissingExtraError: if ViZDoom is not installed.
        """
        train, held_out = _sides(self)
        continued = dataclasses.replace(_episodes(held_out), engine=self.rollouts, live=self.live)
        sides = ((_episodes(train), train.name), (continued, held_out.name))
        splits = Splits(*(dataset_of(episodes, self.clip_length, name) for episodes, name in sides))
        return splits.say(examples_of(", ".join((self.scenario, *self.scenarios)), self.clip_length))

    def rollouts(self, starts: Sequence[Start], actions: Sequence[str], frames: int) -> Rollouts:
        """Repeat the start of held-out walks in the engine, then hold each of the actions.

        The engine is deterministic, so it can repeat a walk from its seed and its actions. Rollouts are kept in the cache.

        Args:
            starts: held-out episodes, counted from 0, and the number of their frames to repeat. ``vqvae.data.spread_starts`` makes some.
            actions: names of actions. Each is held once after every start.
            frames: number of frames for which to hold it.

        Raises:
            ConfigError: if an action is unknown, or a start lies outside its episode.
            DataError: if the engine does not repeat the walk; see also ``build``.
        """
        return _rollouts(self, starts, actions, frames)

    def live(self, number: int, context: int) -> Engine:
        """Repeat the start of a held-out walk in the engine, to continue it step by step.

        Args:
            number: the held-out episode, counted from 0.
            context: the number of its frames to repeat.

        Raises:
            ConfigError: if the start lies outside its episode.
            DataError: if the engine does not repeat the walk; see also ``build``.
        """
        return _live(self, (number, context))


class _Walk(NamedTuple):
    """One episode: the map and the seed."""

    scenario: str
    seed: int


class _Side(NamedTuple):
    """The walks of one side, and the folder that has them in these rows."""

    name: str
    folder: Path
    first: int
    walks: tuple[_Walk, ...]
    config: WorldsConfig


def _sides(config: WorldsConfig) -> tuple[_Side, _Side]:
    check_at_least(2, config, "episodes")
    check_at_least(1, config, "frames_per_episode", "frame_skip")
    frame_size(config.size, "WorldsConfig")
    if importlib.util.find_spec("vizdoom") is None:
        raise MissingExtraError("vizdoom", "worlds")
    _check_scenarios(config)
    held_out = _held_out(config)
    main = dataclasses.replace(config, held_out_scenario=None, clip_length=0)
    folder, digest = _rendered(main, needs_poses=config.clip_length > 0)
    walks = _walks(main)
    train = _Side(f"worlds-{digest}-train", folder, 0, walks[:-held_out], main)
    if config.held_out_scenario is None:
        return train, _Side(f"worlds-{digest}-held-out", folder, len(walks) - held_out, walks[-held_out:], main)
    other = dataclasses.replace(main, scenario=config.held_out_scenario, scenarios=(), episodes=held_out)
    folder, digest = _rendered(other, needs_poses=config.clip_length > 0)
    return train, _Side(f"worlds-{digest}-held-out", folder, 0, _walks(other), other)


def _held_out(config: WorldsConfig) -> int:
    """The number of held-out walks, over all maps."""
    return max(1, round(HELD_OUT_SHARE * config.episodes)) * (1 + len(config.scenarios))


def _walks(config: WorldsConfig) -> tuple[_Walk, ...]:
    """All walks in the order of the rows: training walks, map by map, then held-out walks, map by map."""
    maps = (config.scenario, *config.scenarios)
    train = config.episodes - _held_out(config) // len(maps)
    sides = (range(train), range(train, config.episodes))
    # Each walk has its own seed, so its frames do not depend on the process that renders it, or on the order.
    return tuple(_Walk(name, mix(config.seed, "worlds", name, number)) for side in sides for name in maps for number in side)


def _rendered(config: WorldsConfig, needs_poses: bool) -> tuple[Path, str]:
    """The folder with the frames of the walks, rendered if it is not there yet, and the digest of the settings."""
    version = _VERSION if config.frame_skip > 2 else _SHORT_VERSION
    settings_that_matter = {**to_json(config), "version": version, "vizdoom": importlib.metadata.version("vizdoom"), "path": None}
    # Omitted if they have their defaults: frames keep their name from before these settings existed.
    later = {"held_out_scenario", "clip_length", *([] if config.scenarios else ["scenarios"])}
    identity = {name: value for name, value in settings_that_matter.items() if name not in later}
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=8).hexdigest()
    folder = _root(config) / f"{config.scenario}-{digest}"
    advice = f"{ADVICE[:-1]}, or give another folder with --data."

    def is_done() -> bool:
        # Frames that an earlier release rendered have no poses.
        return exists(folder) and (not needs_poses or (folder / "poses.npy").is_file())

    if not is_done():
        with locked(folder, DataError, advice):
            if not is_done():
                with atomic_folder(folder, DataError, advice) as partial:
                    _render(config, partial)
                    (partial / "config.json").write_text(json.dumps(identity, indent=2) + "\n")
    return folder, digest


def _root(config: WorldsConfig) -> Path:
    return user_path(config.path) if config.path is not None else user_cache() / "worlds"


def _episodes(side: _Side) -> Episodes:
    def rows(name: str) -> Any:
        array = np.load(side.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)[side.first : side.first + len(side.walks)]
        return np.asarray(array.reshape(-1, *array.shape[2:]))

    numbers = np.arange(side.first, side.first + len(side.walks))
    has_poses = (side.folder / "poses.npy").is_file()
    return Episodes(
        frames=rows("frames"),
        episode=np.repeat(numbers, side.config.frames_per_episode),
        names=tuple(f"{walk.scenario}/{walk.seed}" for walk in side.walks),
        actions=rows("actions"),
        action_names=ACTION_NAMES,
        poses=rows("poses") if has_poses else None,
        pose_names=POSE_NAMES if has_poses else (),
        frame_rate=_TICS / side.config.frame_skip,
    )


def _rollouts(config: WorldsConfig, starts: Sequence[Start], actions: Sequence[str], frames: int) -> Rollouts:
    _, side = _sides(config)
    held = check_starts(_episodes(side), starts, actions, frames)

    def fill(folder: Path) -> None:
        shape = (len(starts), len(held), frames)
        size = config.size
        make_arrays(folder, frames=(np.uint8, (*shape, 3, size, size)), poses=(np.float32, (*shape, 3)), lengths=(np.int64, shape[:2]))
        rows = [(row, *side.walks[number], side.first + number, context) for row, (number, context) in enumerate(starts)]
        task = {"held": held, "frame_skip": config.frame_skip, "walks": str(side.folder.resolve()), "folder": str(folder.resolve())}
        _log.info("Rendering %d rollouts of %d frames.", len(starts) * len(held), frames)
        _run("rollouts", rows, task, folder, ", ".join(sorted({walk.scenario for walk in side.walks})))

    return kept_rollouts(_root(config), side.folder.name, [starts, actions, frames], fill)


def _live(config: WorldsConfig, start: Start) -> Engine:
    _, side = _sides(config)
    check_starts(_episodes(side), [start], ACTION_NAMES, 1)
    number, context = start
    walk = side.walks[number]
    task = {"walk": (walk.scenario, str(walk.seed), side.first + number, context), "frame_skip": config.frame_skip}
    task |= {"walks": str(side.folder.resolve())}
    return Engine(_RENDERER, task, (3, config.size, config.size), f"The scenario {walk.scenario!r}", _CRASH)


def _check_scenarios(config: WorldsConfig) -> None:
    """Check the names of maps before they become parts of paths."""
    spec = importlib.util.find_spec("vizdoom")
    assert spec is not None and spec.origin is not None
    known = sorted(path.stem for path in (Path(spec.origin).parent / "scenarios").glob("*.wad"))
    maps = [config.scenario, *config.scenarios, *([] if config.held_out_scenario is None else [config.held_out_scenario])]
    for name in maps:
        if name not in known:
            raise ConfigError(f"config.data.scenario is {name!r}; it must be one of {known}.")
        if maps.count(name) > 1:
            raise ConfigError(f"config.data names the scenario {name!r} twice. Give each map once.")


def _render(config: WorldsConfig, folder: Path) -> None:
    """Write frames.npy (episodes, time, 3, size, size), actions.npy (episodes, time) and poses.npy (episodes, time, 3)."""
    walks = _walks(config)
    shape = (len(walks), config.frames_per_episode)
    make_arrays(
        folder, frames=(np.uint8, (*shape, 3, config.size, config.size)), actions=(np.int64, shape), poses=(np.float32, (*shape, 3))
    )
    maps = ", ".join((config.scenario, *config.scenarios))
    _log.info("Rendering %d episodes of %d frames of %s with %d processes.", *shape, maps, worker_count(len(walks)))
    start = time.perf_counter()
    task = {"frame_skip": config.frame_skip, "folder": str(folder.resolve())}
    _run("walks", [(row, *walk) for row, walk in enumerate(walks)], task, folder, maps)
    seconds = time.perf_counter() - start
    _log.info("Rendered %d frames in %.1f s (%.0f a second).", shape[0] * shape[1], seconds, shape[0] * shape[1] / seconds)


def _run(kind: str, rows: Sequence[tuple[Any, ...]], task: dict[str, Any], folder: Path, maps: str) -> None:
    """Render rows with one process per core."""
    workers = worker_count(len(rows))
    # Seeds as text: the renderer makes strings of them.
    tasks = [
        {kind: [(row, name, str(seed), *rest) for row, name, seed, *rest in rows[worker::workers]], **task} for worker in range(workers)
    ]
    run_renderers(_RENDERER, tasks, folder, f"The scenario {maps!r}", _CRASH)
