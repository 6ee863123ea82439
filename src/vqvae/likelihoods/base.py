"""What a decoder is trained on: criteria, of which likelihoods are one kind."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from vqvae.signals import Signal


class Criterion(nn.Module, ABC):
    """What the decoder's output means, and what it costs beside the data. All of it is in float32 under any autocast."""

    channels: int
    """Channels of the data."""
    levels: int | None = None
    """Levels of integer data; None for floats."""
    low: float | None = None
    high: float | None = None
    """The range of floats; None where they have no bounds."""
    hop: int = 1
    """Positions of the data that one position of the parameters says something of, along each axis."""
    takes_masks: bool = False
    """Whether ``loss`` takes a mask, for examples of several lengths in one batch."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Channels that the decoder must put out."""

    @abstractmethod
    def loss(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """What is minimised, summed over the values of each example: nats, or a distance times the values that count. Where ``mask`` is
        False nothing counts.

        Raises:
            DataError: data or parameters of the wrong type, shape or range, or a mask where ``takes_masks`` is False.
        """

    def forward(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """As ``loss``."""
        return self.loss(parameters, x, mask)

    @abstractmethod
    def mode(self, parameters: Float[Tensor, "batch parameters *space"]) -> Tensor:
        """The raw data that the parameters describe best (of a mixture its mean, rounded), (batch, channels, *space)."""

    def signal(self, axes: tuple[str, ...]) -> Signal:
        """What data is that has these axes."""
        return Signal(axes=axes, channels=self.channels, levels=self.levels, low=self.low, high=self.high)


class Likelihood(Criterion):
    """A distribution over raw data, given the decoder's output. Everything is in nats."""

    def loss(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """−log p(x | parameters), in nats an example; see ``log_prob``."""
        return -self.log_prob(parameters, x, mask)

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


class BinnedLikelihood(Likelihood):
    """A likelihood that counts bins, so that an autoregressive decoder can draw data value by value."""

    @abstractmethod
    def discretise(self, x: Tensor) -> Int64[Tensor, "batch channels *space"]:
        """Raw data to the bins that this likelihood counts.

        Raises:
            DataError: data of the wrong type, shape or range.
        """

    @abstractmethod
    def restore(self, bins: Int64[Tensor, "*any"]) -> Tensor:
        """Bins to the raw data that they stand for: ``discretise(restore(bins)) == bins``."""


class ParametricLikelihood(BinnedLikelihood):
    """A binned likelihood whose parameters of a value are not yet the logits of its bins, for which an autoregressive decoder is asked."""

    @abstractmethod
    def logits(self, parameters: Float[Tensor, "batch parameters"]) -> Float[Tensor, "batch bins"]:
        """The logits of the bins of one value of each example, in float32."""


class Expecting(ABC):
    """A criterion whose parameters say what data they expect, with a gradient: what further criteria look at."""

    @abstractmethod
    def mean(self, parameters: Float[Tensor, "batch parameters *space"]) -> Float[Tensor, "batch channels *space"]:
        """The expected data, from -1 to 1 as ``Signal.to_unit`` gives it."""
