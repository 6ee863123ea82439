"""The interface of encoders and decoders."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from vqvae.data.base import Condition


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

    @abstractmethod
    def forward(
        self, vectors: Float[Tensor, "batch dim *space"], condition: Condition, past: Tensor | None = None
    ) -> Float[Tensor, "batch parameters *space"]:
        """Decode; ``past`` is the discretised data so far, for decoders that are autoregressive."""
