"""Training criteria of decoders. Likelihoods are one kind."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from vqvae.signals import Signal


class Criterion(nn.Module, ABC):
    """Defines the meaning of the decoder's output and its loss against the data. Always float32, even under autocast."""

    channels: int
    """Channels of the data."""
    levels: int | None = None
    """Levels of integer data; None for floats."""
    low: float | None = None
    high: float | None = None
    """The range of floats; None if they have no bounds."""
    hop: int = 1
    """Number of data positions per position of the parameters, along each axis."""
    takes_masks: bool = False
    """Whether ``loss`` accepts a mask, for examples of several lengths in one batch."""

    @property
    @abstractmethod
    def num_parameters(self) -> int:
        """Number of the decoder's output channels."""

    @abstractmethod
    def loss(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """The loss, summed over the values of each example: nats, or a distance times the number of values. Positions where ``mask`` is
        False do not count.

        Raises:
            DataError: if data or parameters have the wrong type, shape or range, or a mask is given and ``takes_masks`` is False.
        """

    def forward(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """Same as ``loss``."""
        return self.loss(parameters, x, mask)

    @abstractmethod
    def mode(self, parameters: Float[Tensor, "batch parameters *space"]) -> Tensor:
        """The raw data (batch, channels, *space) that the parameters describe best. For a mixture it is the rounded mean."""

    def signal(self, axes: tuple[str, ...]) -> Signal:
        """The signal of data with these axes."""
        return Signal(axes=axes, channels=self.channels, levels=self.levels, low=self.low, high=self.high)


class Likelihood(Criterion):
    """A distribution over raw data, given the decoder's output. Everything is in nats."""

    def loss(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """−log p(x | parameters), in nats per example; see ``log_prob``."""
        return -self.log_prob(parameters, x, mask)

    @abstractmethod
    def log_prob(
        self, parameters: Float[Tensor, "batch parameters *space"], x: Tensor, mask: Bool[Tensor, "batch *space"] | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(x | parameters) of raw data (batch, channels, *space), in nats per example. Positions where ``mask`` is False do not count.

        Raises:
            DataError: if data has the wrong type, shape or range, or a mask is given and ``takes_masks`` is False.
        """

    @abstractmethod
    def sample(
        self, parameters: Float[Tensor, "batch parameters *space"], generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw raw data (batch, channels, *space)."""


class BinnedLikelihood(Likelihood):
    """A likelihood over bins, so that an autoregressive decoder can draw data value by value."""

    @abstractmethod
    def discretise(self, x: Tensor) -> Int64[Tensor, "batch channels *space"]:
        """Raw data to this likelihood's bins.

        Raises:
            DataError: if data has the wrong type, shape or range.
        """

    @abstractmethod
    def restore(self, bins: Int64[Tensor, "*any"]) -> Tensor:
        """Bins to raw data: ``discretise(restore(bins)) == bins``."""


class ParametricLikelihood(BinnedLikelihood):
    """A binned likelihood whose parameters are not logits of bins. An autoregressive decoder draws from ``logits``."""

    @abstractmethod
    def logits(self, parameters: Float[Tensor, "batch parameters"]) -> Float[Tensor, "batch bins"]:
        """The logits of the bins of one value of each example, in float32."""


class Expecting(ABC):
    """A criterion with a differentiable mean of the data, which further criteria use."""

    is_plain: bool = False
    """Whether the parameters themselves are the mean, so that it costs nothing."""

    @abstractmethod
    def mean(self, parameters: Float[Tensor, "batch parameters *space"]) -> Float[Tensor, "batch channels *space"]:
        """The expected data, from -1 to 1 as ``Signal.to_unit`` gives it."""
