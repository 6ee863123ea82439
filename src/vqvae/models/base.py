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

    layout: tuple[Level, ...]

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
    ) -> Tensor:
        """Codes to raw data: the likelihood's mode at temperature 0, else a sample drawn with ``generator``."""

    @abstractmethod
    def start(self, batches: Iterable[Batch]) -> None:
        """Start the codebooks from the latents of these batches, where they start from data and have not yet."""
