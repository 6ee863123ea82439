"""The interface of p(x | decoder output)."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn


class Likelihood(nn.Module, ABC):
    """A distribution over raw data, given the decoder's output. Everything is in nats and in float32 under any autocast."""

    channels: int
    """Channels of the data."""
    is_density: bool = True
    """Whether ``log_prob`` is the logarithm of a probability. Where it is not, it trains, but no bound on log p(x) is made of it."""
    hop: int = 1
    """Positions of the data that one position of the parameters says something of, along each axis."""
    takes_masks: bool = False
    """Whether ``log_prob`` takes a mask, for examples of several lengths in one batch."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Channels that the decoder must put out."""

    @abstractmethod
    def log_prob(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(x | parameters) of raw data (batch, channels, *space), in nats an example; where ``mask`` is False nothing counts.

        Raises:
            DataError: data of the wrong type, shape or range, or a mask where ``takes_masks`` is False.
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

    @abstractmethod
    def restore(self, bins: Int64[Tensor, "*any"]) -> Tensor:
        """Bins to the raw data that they stand for: ``discretise(restore(bins)) == bins``."""


class BinnedLikelihood(Likelihood):
    """A likelihood whose parameters of a value are not yet the logits of its bins, for which an autoregressive decoder is asked."""

    @abstractmethod
    def logits(self, parameters: Float[Tensor, "batch parameters"]) -> Float[Tensor, "batch bins"]:
        """The logits of the bins of one value of each example, in float32."""
