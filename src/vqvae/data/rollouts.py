"""What really happens when an action is held: the truth that an imagined continuation is compared with."""

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
"""An episode, counted from 0, and how many of its frames come before the action is held."""


class Rollouts(NamedTuple):
    """Continuations of episodes by the engine itself, each with one action held."""

    frames: UInt8[np.ndarray, "starts actions time channels height width"]
    """The frames after each start, for each action. ``frames[:, :, 0]`` follows the last frame of the context."""
    poses: Float32[np.ndarray, "starts actions time values"]
    """Where the viewer was at each of these frames."""
    lengths: Int[np.ndarray, "starts actions"]
    """How many frames there are before the engine ended the episode. Later ones are black."""


def spread_starts(episodes: Episodes, count: int, context: int) -> tuple[Start, ...]:
    """Evenly spread starts with at least ``context`` frames before each.

    Raises:
        DataError: if the episodes have fewer such places.
    """
    places = [(number, frame) for number, length in enumerate(episodes.lengths.tolist()) for frame in range(context, length + 1)]
    if len(places) < count:
        raise DataError(
            f"The episodes have {len(places)} places with {context} frames before them; {count} are wanted. Give more episodes."
        )
    return tuple(places[index] for index in np.linspace(0, len(places) - 1, count).astype(int))


def check_starts(episodes: Episodes, starts: Sequence[Start], actions: Sequence[str], frames: int) -> list[int]:
    """The indices of the actions to hold.

    Raises:
        ConfigError: if an action is unknown, a start lies outside its episode, or nothing is asked for.
    """
    for action in actions:
        if action not in episodes.action_names:
            raise ConfigError(f"There is no action {action!r}; the actions are {', '.join(episodes.action_names)}.")
    for number, context in starts:
        if not 0 <= number < len(episodes.names) or not 1 <= context <= episodes.lengths[number]:
            lengths = f"{len(episodes.names)} episodes of {min(episodes.lengths)} to {max(episodes.lengths)} frames"
            raise ConfigError(f"A rollout cannot start after {context} frames of episode {number}; there are {lengths}.")
    if not starts or not actions or frames < 1:
        raise ConfigError(f"Rollouts need a start, an action and a frame; came {len(starts)}, {len(actions)} and {frames}.")
    return [episodes.action_names.index(action) for action in actions]


def kept_rollouts(root: Path, source: str, task: object, fill: Callable[[Path], None]) -> Rollouts:
    """Rollouts from the cache, or made anew: all of them, or none after a kill.

    Args:
        root: the folder of the cache.
        source: the name of the folder that holds the episodes.
        task: what is asked for, which ``json.dumps`` takes.
        fill: writes frames.npy, poses.npy and lengths.npy into a folder.
    """
    folder = root / "rollouts" / content_name(source, json.loads(json.dumps(task)))
    if not exists(folder):
        with locked(folder, DataError, ADVICE):
            if not folder.is_dir():
                with atomic_folder(folder, DataError, ADVICE) as partial:
                    fill(partial)
    return Rollouts(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in Rollouts._fields))
