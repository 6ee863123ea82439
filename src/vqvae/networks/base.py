"""The interface of encoders and decoders.

A model also accepts any ``nn.Module`` with a ``stride`` and the same ``forward``. Other attributes then have defaults
(``vqvae.networks.base.trait``).
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from vqvae.data.base import Condition

DEFAULTS: dict[str, Any] = {"context": None, "hop": 1, "speakers": 0, "lead": (), "causal": False}
"""Defaults for attributes that a module does not have."""


def trait(module: nn.Module, name: str) -> Any:
    """An attribute of a network, or its default."""
    return getattr(module, name, DEFAULTS[name])


class Encoder(nn.Module, ABC):
    """Raw data to latents z_e(x)."""

    stride: tuple[int, ...]
    """Number of data positions per latent, one number per axis of space."""
    context: tuple[int, ...]
    """Number of data positions that a latent sees on each side of its own block, one number per axis."""
    dim: int
    """Channels of the latents."""
    lead: tuple[int, ...] = ()
    """Positions by which the first latent of each axis covers less data than the stride; empty: none. The model adds them before the
    data, by repeating its edge."""
    causal: bool = False
    """Whether the first axis is time, and a latent sees nothing after its own block of it."""

    @abstractmethod
    def forward(self, x: Tensor) -> Float[Tensor, "batch dim *space"]:
        """Encode raw data (batch, channels, *space), whose sides are multiples of the strides."""


class Decoder(nn.Module, ABC):
    """Vectors z_q to the parameters of a likelihood."""

    stride: tuple[int, ...]
    lead: tuple[int, ...] = ()
    """The encoder's. The model removes these positions from the start of the output."""
    causal: bool = False
    """Whether the first axis is time, and an output block sees no later latent."""
    context: tuple[int, ...]
    """Number of latent positions that an output block sees on each side, one number per axis."""
    hop: int = 1
    """Number of data positions per position of the parameters, along each axis. It equals the likelihood's."""
    speakers: int = 0
    """Number of speakers of ``condition.label``; 0 without speakers."""

    @abstractmethod
    def forward(
        self, vectors: Float[Tensor, "batch dim *space"], condition: Condition, past: Tensor | None = None
    ) -> Float[Tensor, "batch parameters *space"]:
        """Decode. ``past`` is the discretised data, for autoregressive decoders."""


class Given(NamedTuple):
    """The inputs from which an autoregressive decoder draws data."""

    vectors: Float[Tensor, "batch dim *space"]
    condition: Condition = Condition()


class AutoregressiveDecoder(Decoder):
    """A decoder that predicts each value from the vectors and from the values before it, in raster order, channel fastest.

    Its ``forward`` needs ``past``; each position sees only earlier values of it. ``vqvae.layers.autoregressive.sample`` draws data, with a
    ``Given`` as its ``condition``.
    """

    num_codebooks: int
    """Values per position."""
    codebook_size: int
    """Number of possible values."""

    @abstractmethod
    def start(
        self, batch_size: int, space: tuple[int, ...], condition: Given, prefix: Integer[Tensor, "batch codebooks *space"] | None = None
    ) -> Any:
        """The decoding state before the first value. Entries of ``prefix`` other than -1 are known values, which sampling keeps."""

    @abstractmethod
    def step(self, code: Int[Tensor, " batch"] | None, state: Any) -> tuple[Float[Tensor, "batch parameters"], Any]:
        """Feed the previous value (None at first) and return the parameters of the next, in float32. They are its logits unless the
        likelihood is a ``ParametricLikelihood``."""
