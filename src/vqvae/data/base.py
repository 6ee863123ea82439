"""What data is made of: batches, conditions, objectives, and data sets with random access."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vqvae.errors import ConfigError, DataError


class Condition(NamedTuple):
    """What generation is conditioned on; every field is optional. Names of labels and actions are kept in config.json."""

    label: Int[Tensor, " batch"] | None = None
    """Class or speaker."""
    actions: Int[Tensor, "batch time"] | None = None
    codes: tuple[Int[Tensor, "batch codebooks *space"], ...] = ()
    """Past frames or upper levels."""


class Batch(NamedTuple):
    """A batch of examples: data (batch, channels, *space), raw as it was read; for priors codes (batch, codebooks, *space)."""

    x: Tensor
    condition: Condition = Condition()
    mask: Bool[Tensor, "batch *space"] | None = None
    """True where there is data; None where all of it is."""

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def take(self, rows: Int[Tensor, " rows"]) -> "Batch":
        """Some of the examples, in any order, with repeats."""
        return self._each(lambda tensor: tensor[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        label, actions, codes = self.condition
        condition = Condition(
            label if label is None else change(label), actions if actions is None else change(actions), tuple(map(change, codes))
        )
        return Batch(change(self.x), condition, self.mask if self.mask is None else change(self.mask))


class Objective(NamedTuple):
    """What every trainable thing returns: a scalar to minimise, and detached scalars to show."""

    loss: Float[Tensor, ""]
    metrics: dict[str, Tensor]


class Dataset(ABC):
    """Examples with random access. ``batch`` is a pure function of the indices: nothing is drawn inside."""

    name: str
    label_names: tuple[str, ...] = ()
    action_names: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int:
        """How many examples there are."""

    @abstractmethod
    def batch(self, indices: np.ndarray) -> Batch:
        """The examples at ``indices`` (int64, within range, in any order, repeats allowed) as one batch on the CPU."""


class Splits(NamedTuple):
    """The two parts of a data set: what is trained on, and what every reported number is measured on."""

    train: Dataset
    held_out: Dataset


def described(x: Tensor) -> str:
    """The type of data and the range of its values, for messages about data that came scaled or as another type."""
    if not x.numel():
        return f"{x.dtype} without any values"
    low, high = (float(end) for end in torch.aminmax(x.detach().to(torch.float64)))
    return f"{x.dtype} with values from {low:g} to {high:g}"


def check_audio(x: Tensor) -> None:
    """Raise DataError unless ``x`` is audio: finite floats (batch, 1, time) in [-1, 1]."""
    if not x.is_floating_point():
        advice = {
            torch.int16: "Divide it by 32768.",
            torch.int32: "Divide it by 2147483648.",
            torch.uint8: "Take 128 off and divide by 128.",
        }
        raise DataError(
            f"Audio came as {described(x)}; floats in [-1, 1] are expected, (batch, 1, time). {advice.get(x.dtype, 'Scale it to that.')}"
        )
    if x.ndim != 3 or x.shape[1] != 1:
        raise DataError(f"Audio came in the shape {tuple(x.shape)}; (batch, 1, time) is expected, one channel. Take the mean of several.")
    if x.numel():
        low, high = (float(end) for end in torch.aminmax(x.detach()))
        if not -1 <= low <= high <= 1:  # NaN compares false, too.
            raise DataError(f"Audio came as {described(x)}; finite numbers in [-1, 1] are expected. Scale or clip it.")


def check_sizes(config: Any, *fields: str) -> None:
    """Raise ConfigError unless each of these settings of data is at least 1, or None."""
    for field in fields:
        value = getattr(config, field)
        if value is not None and value < 1:
            raise ConfigError(f"config.data.{field} is {value}; it must be at least 1.")
