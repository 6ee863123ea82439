"""Episodes of frames with the actions between them, and two data sets of them: single frames, and clips."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int, Shaped, UInt8

from vqvae.data.arrays import ArrayDataset
from vqvae.data.base import Batch, Condition, Dataset
from vqvae.data.engines import Engine
from vqvae.errors import ConfigError, DataError
from vqvae.signals import AXES, Signal

SEGMENT = 256
"""The most frames in an example of ``ClipsDataset.apart``."""
_MOST_PIXELS = 2**24


@dataclass(frozen=True)
class Episodes:
    """Whole episodes, end to end. The arrays may be memory-mapped files.

    Raises:
        DataError: if the arrays differ in length, or the names do not match the episodes or actions.
    """

    frames: UInt8[np.ndarray, "frames channels height width"]
    episode: Int[np.ndarray, " _"]
    """The number of the episode of each frame. Frames of one episode are neighbours, in the order of time."""
    names: tuple[str, ...]
    """Where each episode comes from, such as the map and the seed."""
    actions: Int[np.ndarray, " _"] | None = None
    """The action taken at each frame. It leads to the next frame. None if unknown."""
    action_names: tuple[str, ...] = ()
    poses: Float32[np.ndarray, "_ values"] | None = None
    """The viewer's pose at each frame, from the engine. None if unknown."""
    pose_names: tuple[str, ...] = ()
    """The names of a pose's numbers, such as x, y and angle."""
    frame_rate: float | None = None
    """Frames per second. None if unknown."""
    engine: Callable[..., Any] | None = None
    """Continues these episodes with actions held, such as ``WorldsConfig.rollouts``. None if no engine can."""
    live: Callable[[int, int], Engine] | None = None
    """Opens an engine that has repeated the first frames of an episode, given its number and how many, such as ``WorldsConfig.live``.
    None if no engine can."""
    extra: Mapping[str, Shaped[np.ndarray, "_ ..."]] = field(default_factory=dict)
    """Further arrays of an environment with one entry per frame, such as maps of objects."""

    def __post_init__(self) -> None:
        arrays = {"episode": self.episode, "actions": self.actions, "poses": self.poses, **self.extra}
        for name, array in arrays.items():
            if array is not None and len(array) != len(self.frames):
                raise DataError(f"Episodes have {len(self.frames)} frames but {len(array)} {name}. Give one for each frame.")
        if len(self.names) != len(self.starts):
            raise DataError(f"There are {len(self.starts)} episodes but {len(self.names)} names of episodes. Give one for each episode.")
        if (self.actions is None) == bool(self.action_names):
            raise DataError(f"Give both actions and action_names, or neither; action_names is {self.action_names}.")
        if self.actions is not None and len(self.actions) and not 0 <= self.actions.min() <= self.actions.max() < len(self.action_names):
            raise DataError(f"Actions range from {self.actions.min()} to {self.actions.max()}; there are {len(self.action_names)} names.")

    @cached_property
    def starts(self) -> Int[np.ndarray, " episodes"]:
        """The first frame of each episode."""
        changes = np.flatnonzero(np.diff(self.episode)) + 1
        return np.concatenate([np.zeros(min(1, len(self.episode)), np.int64), changes])

    @cached_property
    def lengths(self) -> Int[np.ndarray, " episodes"]:
        """The number of frames of each episode."""
        return np.diff(np.append(self.starts, len(self.episode)))

    def frames_of(self, number: int) -> slice:
        """The frames of an episode, counted from 0 in the order of ``names``."""
        return slice(int(self.starts[number]), int(self.starts[number] + self.lengths[number]))

    def signal(self, axes: tuple[str, ...] = AXES[3]) -> Signal:
        """The signal of an example: a clip, or a picture with the axes of pictures."""
        rate = self.frame_rate if "time" in axes else None
        return Signal(axes=axes, channels=self.frames.shape[1], levels=256, sample_rate=rate)


class FramesDataset(Dataset):
    """Single frames of episodes. An example is a frame and the action taken at it.

    A batch has ``x`` uint8 (batch, channels, height, width) and, if there are actions, ``condition.actions`` int64 (batch, 1), indices
    into ``action_names``.
    """

    def __init__(self, episodes: Episodes, name: str) -> None:
        """Keep references to the arrays."""
        self.name, self.episodes, self.action_names = name, episodes, episodes.action_names
        self.signal = episodes.signal(AXES[2])
        self._examples = ArrayDataset(
            episodes.frames, name=name, actions=episodes.actions, action_names=self.action_names, signal=self.signal
        )

    @property
    def frames(self) -> UInt8[np.ndarray, "frames channels height width"]:
        """All frames, in the order of the episodes."""
        return self.episodes.frames

    @property
    def actions(self) -> Int[np.ndarray, " frames"] | None:
        """The action after each frame, or None."""
        return self.episodes.actions

    @property
    def episode(self) -> Int[np.ndarray, " frames"]:
        """The number of the episode of each frame."""
        return self.episodes.episode

    def __len__(self) -> int:
        return len(self._examples)

    def batch(self, indices: np.ndarray) -> Batch:
        return self._examples.batch(indices)


class ClipsDataset(Dataset):
    """Clips: consecutive frames of one episode. A clip starts at every frame.

    A batch has ``x`` uint8 (batch, channels, time, height, width) and, if there are actions, ``condition.actions`` int64 (batch, time):
    ``actions[t]`` was taken at frame t and leads to frame t + 1. ``mask``, bool (batch, time, height, width), excludes the frames that pad
    an example of ``apart``; it is None if no example is padded.
    """

    def __init__(self, episodes: Episodes, length: int, name: str) -> None:
        """Keep references to the arrays.

        Args:
            length: frames per clip. Shorter episodes give no clips.

        Raises:
            DataError: if every episode is shorter.
        """
        counts = np.maximum(episodes.lengths - length + 1, 0)
        if length < 1 or not counts.sum():
            longest = max(episodes.lengths, default=0)
            raise DataError(f"No episode has {length} frames; the longest has {longest}. Choose a clip length from 1 to {longest}.")
        first, before = np.repeat(episodes.starts, counts), np.cumsum(counts) - counts
        self._set(episodes, first + np.arange(counts.sum()) - np.repeat(before, counts), None, length, name)

    def _set(self, episodes: Episodes, starts: np.ndarray, lengths: np.ndarray | None, length: int, name: str) -> None:
        self.episodes, self.length, self.name = episodes, length, name
        self.signal, self.action_names = episodes.signal(), episodes.action_names
        self._starts, self._lengths = starts, lengths

    def __len__(self) -> int:
        return len(self._starts)

    def place(self, index: int) -> tuple[int, int]:
        """The episode of an example, counted from 0, and the first frame of the example in that episode."""
        start = int(self._starts[index])
        number = int(np.searchsorted(self.episodes.starts, start, side="right")) - 1
        return number, start - int(self.episodes.starts[number])

    def batch(self, indices: np.ndarray) -> Batch:
        starts = self._starts[indices]
        lengths = np.full(len(indices), self.length) if self._lengths is None else self._lengths[indices]
        channels, height, width = self.episodes.frames.shape[1:]
        x = np.zeros((len(indices), channels, self.length, height, width), np.uint8)
        actions = np.zeros((len(indices), self.length), np.int64)
        for row, (start, length) in enumerate(zip(starts.tolist(), lengths.tolist(), strict=True)):
            x[row, :, :length] = np.moveaxis(self.episodes.frames[start : start + length], 0, 1)
            if self.episodes.actions is not None:
                actions[row, :length] = self.episodes.actions[start : start + length]
        condition = Condition() if self.episodes.actions is None else Condition(actions=torch.from_numpy(actions))
        if self._lengths is None:
            return Batch(torch.from_numpy(x), condition)
        mask = torch.from_numpy(np.arange(self.length) < lengths[:, None])[:, :, None, None]
        return Batch(torch.from_numpy(x), condition, mask.expand(-1, -1, height, width))

    def apart(self) -> "ClipsDataset":
        """The same episodes, whole or in segments of at most 256 frames, with each frame once. Shorter examples are padded at the end."""
        return _Segments(self.episodes, self.name)


class _Segments(ClipsDataset):
    """The data set that ``ClipsDataset.apart`` returns."""

    def __init__(self, episodes: Episodes, name: str) -> None:
        starts, lengths = [], []
        for first, length in zip(episodes.starts.tolist(), episodes.lengths.tolist(), strict=True):
            offsets = np.arange(0, length, SEGMENT)
            starts.append(first + offsets)
            lengths.append(np.minimum(length - offsets, SEGMENT))
        each = np.concatenate(lengths)
        self._set(episodes, np.concatenate(starts), None if (each == each.max()).all() else each, int(each.max()), name)


def dataset_of(episodes: Episodes, clip_length: int, name: str) -> FramesDataset | ClipsDataset:
    """Clips of the given length, or single frames if it is 0."""
    return ClipsDataset(episodes, clip_length, f"{name}-clips-{clip_length}") if clip_length else FramesDataset(episodes, name)


def examples_of(source: str, clip_length: int) -> str:
    """What the examples of ``dataset_of`` are, in words."""
    return f"Clips of {clip_length} frames of {source}" if clip_length else f"Frames of {source}"


def frame_size(size: int | tuple[int, int], owner: str) -> tuple[int, int]:
    """Height and width; one number is for squares.

    Raises:
        ConfigError: if one is below 1, or there are more than 16,777,216 pixels; it names the setting after ``owner``.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1 or height * width > _MOST_PIXELS:
        raise ConfigError(f"{owner}.size is {size}; height and width must be at least 1, and their product at most {_MOST_PIXELS:,}.")
    return height, width
