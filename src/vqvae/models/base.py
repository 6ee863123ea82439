"""The interfaces of models that turn data into latents."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from vqvae.codes import Codes, Level, LogPrior
from vqvae.data.base import Batch, Condition, Objective
from vqvae.signals import Signal


class Reconstruction(NamedTuple):
    """A reconstruction from an example's codes."""

    x: Tensor
    """The criterion's mode, raw data of the example's size."""
    log_likelihood: Float[Tensor, " batch"] | None
    """log p(x|z) of the example itself, in nats; None without a likelihood."""


class Bound(NamedTuple):
    """A lower bound on log p(x) of each example, in nats. If latents are drawn, its expected value is the bound."""

    nats: Float[Tensor, " batch"]
    """The bound: log p(x|z) minus the cost of the latents."""
    log_likelihood: Float[Tensor, " batch"]
    """log p(x|z), the part of the data given the latents. The latents cost ``log_likelihood - nats``."""


class LatentModel(nn.Module, ABC):
    """A model of data through latents. It draws from torch's own generators."""

    signal: Signal
    """The signal of the data. Parts use it to scale data."""

    @abstractmethod
    def forward(self, batch: Batch) -> Objective:
        """The training objective of a batch. Metrics of every model: ``nats_per_dim``, the whole bound under the prior that training
        assumes, and ``kl_nats_per_dim``, the cost of the latents in it. Both are −log of a probability, per dimension."""

    @abstractmethod
    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """A lower bound on log p(x) and its part for the data; default: the prior that training assumes."""

    def elbo(self, batch: Batch, log_prior: LogPrior | None = None) -> Float[Tensor, " batch"]:
        """Only the lower bound on log p(x), in nats per example."""
        return self.bound(batch, log_prior).nats


class Tokenizer(LatentModel):
    """A latent model with codes."""

    layout: tuple[Level, ...]
    """The shape of each level of codes, the coarsest first."""
    takes_masks: bool = False
    """Whether batches may have a mask, for examples of different lengths."""
    takes_long: bool = False
    """Whether ``encode`` and ``decode`` bound their own memory, however many positions an example has."""
    streams: bool = False
    """Whether data can be processed in pieces over time; see ``models/streaming.py``."""
    has_likelihood: bool = True
    """Whether there is a density of data given codes, and therefore nats, bits and bounds."""
    speakers: int = 0
    """Number of speakers that it can decode to, by ``condition.label``; 0 without speakers."""
    draws: bool = False
    """Whether ``decode`` draws data value by value. If so, a sample resembles data, but the sequence of most likely values does not."""

    @abstractmethod
    def encode(self, batch: Batch) -> Codes:
        """Data to codes, one entry per level, with a mask of the codes that stand for data. A latent without data has the code 0."""

    @abstractmethod
    def decode(
        self,
        codes: Tensor | tuple[Integer[Tensor, "batch codebooks *space"], ...],
        condition: Condition = Condition(),
        generator: torch.Generator | None = None,
        temperature: float = 0.0,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Codes, of several levels or the tensor of one, to raw data: the criterion's mode at temperature 0, else a sample of the
        likelihood, drawn with ``generator``. Without a likelihood it is the mode at any temperature.

        ``size`` removes the padding of ``encode``. Default: keep all that the codes decode to.
        """

    @abstractmethod
    def reconstruct(self, batch: Batch, codes: Tensor | tuple[Integer[Tensor, "batch codebooks *space"], ...]) -> Reconstruction:
        """Decode a batch's codes once, for the criterion's mode and for log p(x|z)."""

    @abstractmethod
    def latents(self, batch: Batch) -> Float[Tensor, "batch dim *space"]:
        """z_e(x): the encoder's output before quantization."""

    @abstractmethod
    def start(self, batches: Iterable[Batch]) -> None:
        """Initialise codebooks from the latents of these batches, if they start from data and are not initialised yet."""


def importance_weighted(log_likelihood: Float[Tensor, "samples batch"], log_ratio: Float[Tensor, "samples batch"]) -> Bound:
    """log of the mean of p(x|z) p(z) / q(z|x) over samples z from q(z|x) [Burda et al. 2016, arXiv 1509.00519].

    One sample gives the evidence lower bound; more samples give a higher bound, on average. The part for the data is the mean of
    log p(x|z), with the samples' weights in the bound.

    Args:
        log_likelihood: log p(x|z) of every sample.
        log_ratio: log p(z) - log q(z|x) of every sample.
    """
    log_weights = log_likelihood + log_ratio
    nats = log_weights.logsumexp(0) - math.log(len(log_weights))
    return Bound(nats, (log_weights.softmax(0) * log_likelihood).sum(0))
