"""The true frames after an action is held, to compare with a predicted continuation."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int, UInt8

from vqvae.data.cache import ADVICE
from vqvae.data.contents import content_name
from vqvae.data.episodes import Episodes
from vqvae.disk import atomic_folder, exists, locked
from vqvae.errors import ConfigError, DataError

Start = tuple[int, int]
"""An episode, counted from 0, and the number of its frames before the action is held."""


class Rollouts(NamedTuple):
    """Continuations of episodes by the engine itself, each with one action held."""

    frames: UInt8[np.ndarray, "starts actions time channels height width"]
    """The frames after each start, for each action. ``frames[:, :, 0]`` follows the last frame of the context."""
    poses: Float32[np.ndarray, "starts actions time values"]
    """The viewer's pose at each of these frames."""
    lengths: Int[np.ndarray, "starts actions"]
    """The number of frames until the engine ended the episode. Later frames are black."""


def spread_starts(episodes: Episodes, count: int, context: int) -> tuple[Start, ...]:
    """Evenly spread starts with at least ``context`` frames before each.

    Raises:
        DataError: if the episodes have fewer such starts.
    """
    places = [(number, frame) for number, length in enumerate(episodes.lengths.tolist()) for frame in range(context, length + 1)]
    if len(places) < count:
        raise DataError(
            f"The episodes have {len(places)} places with {context} frames before them; expected at least {count}. Give more episodes."
        )
    return tuple(places[index] for index in np.linspace(0, len(places) - 1, count).astype(int))


def check_starts(episodes: Episodes, starts: Sequence[Start], actions: Sequence[str], frames: int) -> list[int]:
    """The indices of the actions to hold.

    Raises:
        ConfigError: if an action is unknown, a start lies outside its episode, or nothing is requested.
    """
    for action in actions:
        if action not in episodes.action_names:
            raise ConfigError(f"There is no action {action!r}; the actions are {', '.join(episodes.action_names)}.")
    for number, context in starts:
        if not 0 <= number < len(episodes.names) or not 1 <= context <= episodes.lengths[number]:
            lengths = f"{len(episodes.names)} episodes of {min(episodes.lengths)} to {max(episodes.lengths)} frames"
            raise ConfigError(f"A rollout cannot start after {context} frames of episode {number}; there are {lengths}.")
    if not starts or not actions or frames < 1:
        raise ConfigError(f"Rollouts need at least 1 start, action and frame; there are {len(starts)}, {len(actions)} and {frames}.")
    return [episodes.action_names.index(action) for action in actions]


def kept_rollouts(root: Path, source: str, task: object, fill: Callable[[Path], None]) -> Rollouts:
    """Rollouts from the cache, or newly rendered. After a kill, the cache has all of them or none.

    Args:
        root: the folder of the cache.
        source: the name of the folder that holds the episodes.
        task: a description of the rollouts, in valid JSON types.
        fill: writes frames.npy, poses.npy and lengths.npy into a folder.
    """
    folder = root / "rollouts" / content_name(source, json.loads(json.dumps(task)))
    if not exists(folder):
        with locked(folder, DataError, ADVICE):
            if not folder.is_dir():
                with atomic_folder(folder, DataError, ADVICE) as partial:
                    fill(partial)
    return Rollouts(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in Rollouts._fields))
