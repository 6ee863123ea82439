"""Clips of codes: windows over time, cut from whole episodes that were encoded once."""

import numpy as np
import torch
from jaxtyping import Int

from vqvae.data.base import Batch, Condition, Dataset
from vqvae.data.loader import in_order
from vqvae.errors import DataError

CLIPS = "-clips-"
"""In the name of a data set, what separates the name of the codes from the length of the clips."""
_AT_ONCE = 64


class CodeClips(Dataset):
    """Windows of ``length`` frames over examples whose first axis is time. A window starts at every frame.

    A batch has ``x`` (batch, codebooks, length, *space) and, if there are actions, ``condition.actions`` int64 (batch, length).
    """

    def __init__(self, episodes: Dataset, length: int) -> None:
        """Count the windows.

        Args:
            episodes: codes with time as their first axis. Masks exclude frames at the end.
            length: frames per window. Shorter episodes give no windows.

        Raises:
            DataError: if the codes have no time axis, ``length`` is below 1, or every episode is shorter.
        """
        if not episodes.signal.axes or episodes.signal.axes[0] != "time":
            raise DataError(f"Clips are cut from codes over time; these have the axes {episodes.signal.axes}. Encode clips of frames.")
        self._episodes, self._length = episodes, length
        self.name, self.signal = f"{episodes.name}{CLIPS}{length}", episodes.signal
        self.label_names, self.action_names = episodes.label_names, episodes.action_names
        if length < 1:
            raise DataError(f"A clip has {length} frames; expected at least 1.")
        lengths = _lengths(episodes)
        counts = np.maximum(lengths - length + 1, 0)
        if not counts.sum():
            raise DataError(f"No episode has {length} frames of codes; the longest has {max(lengths, default=0)}. Choose a shorter clip.")
        self._example = np.repeat(np.arange(len(counts)), counts)
        self._start = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)

    def __len__(self) -> int:
        return len(self._start)

    def batch(self, indices: np.ndarray) -> Batch:
        whole = self._episodes.batch(self._example[indices])
        times = torch.from_numpy(self._start[indices][:, None] + np.arange(self._length))
        rows = torch.arange(len(indices))[:, None]
        condition = whole.condition
        if condition.actions is not None:
            condition = condition._replace(actions=condition.actions[rows, times])
        return Batch(whole.x.transpose(1, 2)[rows, times].transpose(1, 2), Condition(condition.label, condition.actions))


def _lengths(episodes: Dataset) -> Int[np.ndarray, " examples"]:
    """Frames of each example."""
    lengths = []
    for batch in in_order(episodes, _AT_ONCE):
        there = torch.full((len(batch.x),), batch.x.shape[2]) if batch.mask is None else batch.mask.flatten(2).all(2).sum(1)
        lengths.append(there.numpy())
    return np.concatenate(lengths) if lengths else np.zeros(0, np.int64)
