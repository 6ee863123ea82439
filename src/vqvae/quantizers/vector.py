"""A codebook that learns by gradient: [VQVAE §3.2]."""

import torch
from torch import Tensor, nn

from vqvae.config import settings
from vqvae.quantizers.codebook import SingleCodebook, Statistics
from vqvae.quantizers.gradient import Gradient


@settings
class VectorQuantizerConfig:
    """A codebook updated by the optimizer."""

    dim: int
    """D, channels of the latents."""
    codebook_size: int
    """K, the number of codes."""
    commitment_cost: float = 0.25
    """β, the weight of the commitment term (the codebook term has weight 1)."""
    revive_after: int = 0
    """A code unused for this many training steps is set to a latent of the batch. 0: never."""
    gradient: Gradient = "straight_through"
    """How the decoder's gradient reaches the encoder."""
    start_from_data: bool = True
    """Initialise the codebook by k-means over the first training latents, instead of at random."""

    def build(self) -> "VectorQuantizer":
        return VectorQuantizer(self)


class VectorQuantizer(SingleCodebook):
    """Vector quantizer with the second term of [VQVAE eq. 3], ‖sg[z_e] − e‖², averaged over positions and channels."""

    def __init__(self, config: VectorQuantizerConfig) -> None:
        super().__init__(
            dim=config.dim,
            codebook_size=config.codebook_size,
            commitment_cost=config.commitment_cost,
            revive_after=config.revive_after,
            gradient=config.gradient,
            start_from_data=config.start_from_data,
        )
        self.config = config
        self.codebook = nn.Parameter(torch.randn(1, config.codebook_size, config.dim).div_(config.dim**0.5))

    def _look_up(self, codebook: Tensor, codes: Tensor, rows: Tensor, count: Tensor | float) -> tuple[Tensor, Tensor]:
        chosen = self.codebook[0].index_select(0, codes)
        return chosen, nn.functional.mse_loss(chosen, rows.detach(), reduction="sum") / count

    def _learn(self, statistics: Statistics) -> None:
        """Do nothing: the optimizer updates the codebook."""

    def _write(self, codes: Tensor, vectors: Tensor) -> None:
        # In place, so that the optimizer keeps the same parameter.
        self.codebook.data[0, codes] = vectors
