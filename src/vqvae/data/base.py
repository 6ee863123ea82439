"""The types of data: batches, conditions, objectives, and data sets with random access."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from vqvae.errors import ConfigError
from vqvae.signals import Signal

_log = logging.getLogger(__name__)

Change = Callable[[Tensor], Tensor]


class Condition(NamedTuple):
    """What is known about each example besides its data or codes. All fields are optional; parts ignore fields that they do not use."""

    label: Int[Tensor, " batch"] | None = None
    """Class or speaker. The run's card lists the names."""
    actions: Int[Tensor, "batch time"] | None = None
    """The action at each time. The run's card lists the names."""
    codes: tuple[Integer[Tensor, "batch codebooks *space"], ...] = ()
    """Codes of the levels above or of past frames."""

    def map(self, change: Change) -> "Condition":
        """Apply a function to every tensor."""
        return Condition(_changed(self.label, change), _changed(self.actions, change), tuple(map(change, self.codes)))

    def take(self, rows: Int[Tensor, " rows"] | slice) -> "Condition":
        """The condition of some of the examples."""
        return self.map(lambda tensor: tensor[rows])

    def to(self, device: torch.device | str) -> "Condition":
        """The condition on another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))


class Batch(NamedTuple):
    """A batch of examples."""

    x: Tensor
    """Raw data, (batch, channels, *space). For priors: codes, (batch, codebooks, *space)."""
    condition: Condition = Condition()
    mask: Bool[Tensor, "batch *space"] | None = None
    """True for data, False for padding. None if there is no padding."""
    targets: Tensor | None = None
    """Targets of a classifier, (batch, ...)."""

    def map(self, change: Change) -> "Batch":
        """Apply a function to every tensor."""
        return Batch(change(self.x), self.condition.map(change), _changed(self.mask, change), _changed(self.targets, change))

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def take(self, rows: Int[Tensor, " rows"] | slice) -> "Batch":
        """Some of the examples, in any order; repeats are allowed."""
        return self.map(lambda tensor: tensor[rows])

    def split(self, count: int) -> "Sequence[Batch]":
        """Split the batch into ``count`` parts of equal size; the last may be smaller."""
        size = -(-len(self.x) // count)
        return [self.take(slice(part * size, (part + 1) * size)) for part in range(count)]


def _changed(tensor: Tensor | None, change: Change) -> Tensor | None:
    return None if tensor is None else change(tensor)


class Objective(NamedTuple):
    """What every trainable module returns: a scalar to minimise, and detached scalars to log."""

    loss: Float[Tensor, ""]
    metrics: dict[str, Tensor]
    adversary: Float[Tensor, ""] | None = None
    """The loss of the module's adversaries. It changes only their parameters. None without adversaries."""


class Dataset(ABC):
    """Examples with random access. ``batch`` is a pure function of the indices: it draws no random numbers."""

    name: str
    signal: Signal
    """The signal that the examples have."""
    label_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    """What was found where the data is, and what it was taken for, as sentences for a report."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    @abstractmethod
    def batch(self, indices: np.ndarray) -> Batch:
        """The examples at ``indices`` (int64, within range, in any order, repeats allowed) as one batch on the CPU."""

    def apart(self) -> "Dataset":
        """The same data in examples that do not overlap, for uses that need each value exactly once."""
        return self

    def named(self, label_names: tuple[str, ...]) -> "Dataset":
        """The same data with labels numbered as in ``label_names``, such as those of a trained model.

        Raises:
            ConfigError: if the data has other labels.
        """
        if self.label_names != label_names:
            raise ConfigError(
                f"This data has the classes {list(self.label_names)[:8]}; the model was trained on {list(label_names)[:8]}. "
                "Give data with the same classes."
            )
        return self


class Splits(NamedTuple):
    """The two sides of a data set: one for training, and one for every reported score."""

    train: Dataset
    held_out: Dataset

    def say(self, what: str) -> "Splits":
        """Log how many examples there are, and keep the sentence for the report.

        Args:
            what: what the examples are, such as "Frames of my_way_home".
        """
        words = f"{what}: {len(self.train):,} to train on, {len(self.held_out):,} held out."
        _log.info("%s", words)
        for side in self:
            side.found = (words,)
        return self
