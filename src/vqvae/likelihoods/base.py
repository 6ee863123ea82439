"""The interface of p(x | decoder output)."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Likelihood(nn.Module, ABC):
    """A distribution over raw data, given the decoder's output. Everything is in nats and in float32 under any autocast."""

    channels: int
    """Channels of the data."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Channels that the decoder must put out."""

    @abstractmethod
    def log_prob(self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor) -> Float[Tensor, " batch"]:
        """log p(x | parameters) of raw data (batch, channels, *space), in nats an example.

        Raises:
            DataError: data of the wrong type, shape or range.
        """

    @abstractmethod
    def sample(
        self, parameters: Float[Tensor, "batch parameters *space"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw raw data (batch, channels, *space)."""

    @abstractmethod
    def mode(self, parameters: Float[Tensor, "batch parameters *space"]) -> Tensor:
        """The most likely raw data (for a mixture its mean, rounded), (batch, channels, *space)."""

    @abstractmethod
    def discretise(self, x: Tensor) -> Tensor:
        """Raw data to the int64 bins that this likelihood counts, (batch, channels, *space)."""
