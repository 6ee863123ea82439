"""The interface of encoders and decoders.

A model takes any ``nn.Module`` in their places that has a ``stride`` and the ``forward`` of the class; what else stands here has
defaults then (``vqvae.networks.base.trait``).
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from vqvae.data.base import Condition

DEFAULTS: dict[str, Any] = {"context": None, "hop": 1, "speakers": 0}
"""What a module is taken to be that does not say."""


def trait(module: nn.Module, name: str) -> Any:
    """An attribute of a network that need not have it."""
    return getattr(module, name, DEFAULTS[name])


class Encoder(nn.Module, ABC):
    """Raw data to latents z_e(x)."""

    stride: tuple[int, ...]
    """Data positions a latent, one number an axis of space."""
    context: tuple[int, ...]
    """Data positions on each side of a latent's own block that it can see, one number an axis."""
    dim: int
    """Channels of the latents."""

    @abstractmethod
    def forward(self, x: Tensor) -> Float[Tensor, "batch dim *space"]:
        """Encode raw data (batch, channels, *space) whose sides the strides divide."""


class Decoder(nn.Module, ABC):
    """Vectors z_q to the parameters of a likelihood."""

    stride: tuple[int, ...]
    context: tuple[int, ...]
    """Latent positions on each side that an output block can see, one number an axis."""
    hop: int = 1
    """Data positions that one position of the parameters says something of, along each axis; the likelihood's own."""
    speakers: int = 0
    """Speakers that ``condition.label`` must name one of; 0 where the decoder takes none."""

    @abstractmethod
    def forward(
        self, vectors: Float[Tensor, "batch dim *space"], condition: Condition, past: Tensor | None = None
    ) -> Float[Tensor, "batch parameters *space"]:
        """Decode; ``past`` is the discretised data, for decoders that are autoregressive."""


class Given(NamedTuple):
    """What an autoregressive decoder draws data from."""

    vectors: Float[Tensor, "batch dim *space"]
    condition: Condition = Condition()


class AutoregressiveDecoder(Decoder):
    """A decoder that predicts each value from the vectors and from the values before it, in raster order, channel fastest.

    Its ``forward`` needs ``past``, of which each position sees only what is before it. Data is drawn by
    ``vqvae.layers.autoregressive.sample``, whose ``condition`` is a ``Given``.
    """

    num_codebooks: int
    """Values a position."""
    codebook_size: int
    """How many values there are."""

    @abstractmethod
    def start(
        self, batch_size: int, space: tuple[int, ...], condition: Given, prefix: Integer[Tensor, "batch codebooks *space"] | None = None
    ) -> Any:
        """The decoding state before the first value. Where ``prefix`` is not -1 it holds known values, which the sampling loop keeps."""

    @abstractmethod
    def step(self, code: Int[Tensor, " batch"] | None, state: Any) -> tuple[Float[Tensor, "batch parameters"], Any]:
        """Feed the value before (None at the first) and get the parameters of the next one, in float32: its logits, but for a
        ``BinnedLikelihood``."""
