"""What is trained to turn data into latents."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqvae.data.base import Batch, Condition, Objective

LogPrior = Callable[[Tensor], Tensor]
"""Any callable from codes (batch, codebooks, *space) to log p(codes), (batch,), in nats."""


class Level(NamedTuple):
    """The shape of one level of codes."""

    num_codebooks: int
    codebook_size: int
    stride: tuple[int, ...]
    """Data positions a code, one number an axis of space."""


class Reconstruction(NamedTuple):
    """What a model makes of an example's codes."""

    x: Tensor
    """The likelihood's mode, raw data of the example's size."""
    log_likelihood: Float[Tensor, " batch"]
    """log p(x|z) of the example itself, in nats."""


class LatentModel(nn.Module, ABC):
    """A model of data through latents."""

    @abstractmethod
    def forward(self, batch: Batch) -> Objective:
        """The training objective of a batch."""

    @abstractmethod
    def elbo(self, batch: Batch, log_prior: LogPrior | None = None) -> Float[Tensor, " batch"]:
        """A lower bound on log p(x), in nats an example; the prior is uniform unless another is given."""


class Tokenizer(LatentModel):
    """A latent model with codes."""

    channels: int
    """Channels of the data."""
    layout: tuple[Level, ...]
    """The shape of each level of codes."""

    @abstractmethod
    def encode(self, batch: Batch) -> tuple[Int[Tensor, "batch codebooks *space"], ...]:
        """Data to codes, one entry a level."""

    @abstractmethod
    def decode(
        self,
        codes: tuple[Int[Tensor, "batch codebooks *space"], ...],
        condition: Condition = Condition(),
        generator: torch.Generator | None = None,
        temperature: float = 0.0,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Codes to raw data: the likelihood's mode at temperature 0, else a sample drawn with ``generator``.

        ``size`` cuts off what ``encode`` padded; without it the data is as large as the codes make it.
        """

    @abstractmethod
    def reconstruct(self, batch: Batch, codes: tuple[Int[Tensor, "batch codebooks *space"], ...]) -> Reconstruction:
        """Decode a batch's codes once, for the likelihood's mode and for log p(x|z)."""

    @abstractmethod
    def latents(self, batch: Batch) -> Float[Tensor, "batch dim *space"]:
        """z_e(x): what the encoder puts out, before it is quantized."""

    @abstractmethod
    def start(self, batches: Iterable[Batch]) -> None:
        """Start the codebooks from the latents of these batches, where they start from data and have not yet."""
