"""What data is made of: batches, conditions, objectives, and data sets with random access."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from vqvae.errors import ConfigError
from vqvae.signals import Signal

Change = Callable[[Tensor], Tensor]


class Condition(NamedTuple):
    """What is given beside the data or the codes; every field is optional. Who has no use for a field ignores it."""

    label: Int[Tensor, " batch"] | None = None
    """Class or speaker; names are on the run's card."""
    actions: Int[Tensor, "batch time"] | None = None
    """What was done at each time; names are on the run's card."""
    codes: tuple[Integer[Tensor, "batch codebooks *space"], ...] = ()
    """The levels above, or past frames."""

    def map(self, change: Change) -> "Condition":
        """The same change to every tensor."""
        return Condition(_changed(self.label, change), _changed(self.actions, change), tuple(map(change, self.codes)))

    def take(self, rows: Int[Tensor, " rows"] | slice) -> "Condition":
        """What is given with some of the examples."""
        return self.map(lambda tensor: tensor[rows])

    def to(self, device: torch.device | str) -> "Condition":
        """The condition on another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))


class Batch(NamedTuple):
    """A batch of examples: data (batch, channels, *space), raw as it was read; for priors codes (batch, codebooks, *space)."""

    x: Tensor
    condition: Condition = Condition()
    mask: Bool[Tensor, "batch *space"] | None = None
    """True where there is data; None where all of it is."""
    targets: Tensor | None = None
    """What a classifier of the data should say, (batch, ...)."""

    def map(self, change: Change) -> "Batch":
        """The same change to every tensor."""
        return Batch(change(self.x), self.condition.map(change), _changed(self.mask, change), _changed(self.targets, change))

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device."""
        return self.map(lambda tensor: tensor.to(device, non_blocking=True))

    def take(self, rows: Int[Tensor, " rows"] | slice) -> "Batch":
        """Some of the examples, in any order, with repeats."""
        return self.map(lambda tensor: tensor[rows])

    def split(self, count: int) -> "Sequence[Batch]":
        """``count`` parts of equal size, one after the other; the last may be smaller."""
        size = -(-len(self.x) // count)
        return [self.take(slice(part * size, (part + 1) * size)) for part in range(count)]


def _changed(tensor: Tensor | None, change: Change) -> Tensor | None:
    return None if tensor is None else change(tensor)


class Objective(NamedTuple):
    """What every trainable thing returns: a scalar to minimise, and detached scalars to show."""

    loss: Float[Tensor, ""]
    metrics: dict[str, Tensor]
    adversary: Float[Tensor, ""] | None = None
    """What the adversaries of the module minimise, each by its own parameters; None where it has none."""


class Dataset(ABC):
    """Examples with random access. ``batch`` is a pure function of the indices: nothing is drawn inside."""

    name: str
    signal: Signal
    """What the examples are."""
    label_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int:
        """How many examples there are."""

    @abstractmethod
    def batch(self, indices: np.ndarray) -> Batch:
        """The examples at ``indices`` (int64, within range, in any order, repeats allowed) as one batch on the CPU."""

    def apart(self) -> "Dataset":
        """The same data in examples that do not overlap, for what should see each value once."""
        return self

    def named(self, label_names: tuple[str, ...]) -> "Dataset":
        """The same data, whose labels have the numbers of these names, such as those that a model was trained with.

        Raises:
            ConfigError: the data has other labels.
        """
        if self.label_names != label_names:
            raise ConfigError(
                f"This data has the classes {list(self.label_names)[:8]}; the model was trained on {list(label_names)[:8]}. "
                "Give data with the same classes."
            )
        return self


class Splits(NamedTuple):
    """The two parts of a data set: what is trained on, and what every reported number is measured on."""

    train: Dataset
    held_out: Dataset
