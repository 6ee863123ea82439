"""A codebook updated by exponential moving averages [VQVAE Appendix A.1]."""

import torch
from torch import Tensor

from vqvae.config import settings
from vqvae.errors import ConfigError
from vqvae.quantizers.codebook import SingleCodebook, Statistics
from vqvae.quantizers.gradient import Gradient


@settings
class EMAQuantizerConfig:
    """A codebook that follows the latents by exponential moving averages."""

    dim: int
    """D, channels of the latents."""
    codebook_size: int
    """K, the number of codes."""
    commitment_cost: float = 0.25
    """β, the weight of the commitment term."""
    decay: float = 0.99
    """γ, the decay of the running statistics per training step."""
    revive_after: int = 0
    """A code unused for this many training steps is set to a latent of the batch. 0: never."""
    gradient: Gradient = "straight_through"
    """How the decoder's gradient reaches the encoder."""
    start_from_data: bool = True
    """Initialise the codebook by k-means over the first training latents, instead of at random."""

    def build(self) -> "EMAQuantizer":
        return EMAQuantizer(self)


class EMAQuantizer(SingleCodebook):
    """Vector quantizer with N_i ← γN_i + (1−γ)n_i, m_i ← γm_i + (1−γ)Σz, e_i = m_i/N_i [VQVAE Appendix A.1].

    Differs from the paper's text: only codes that were used are written. The running sums of an idle code decay with its
    count. In exact arithmetic their ratio stays the same, but in float32 it drifts and ends as 0/0. The Laplace smoothing of
    common implementations pulls idle codes to the origin.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, config: EMAQuantizerConfig) -> None:
        super().__init__(
            dim=config.dim,
            codebook_size=config.codebook_size,
            commitment_cost=config.commitment_cost,
            revive_after=config.revive_after,
            gradient=config.gradient,
            start_from_data=config.start_from_data,
        )
        if not 0 <= config.decay < 1:
            raise ConfigError(f"decay is {config.decay}; it must lie in [0, 1).")
        self.config = config
        codebook = torch.randn(1, config.codebook_size, config.dim).div_(config.dim**0.5)
        self.register_buffer("codebook", codebook)
        self.register_buffer("counts", torch.ones(1, config.codebook_size))
        self.register_buffer("sums", codebook.clone())

    def _look_up(self, codebook: Tensor, codes: Tensor, rows: Tensor, count: Tensor | float) -> tuple[Tensor, float]:
        return codebook.index_select(0, codes), 0.0

    def _learn(self, statistics: Statistics) -> None:
        decay = self.config.decay
        self.counts[0].mul_(decay).add_(statistics.counts, alpha=1 - decay)
        self.sums[0].mul_(decay).add_(statistics.sums, alpha=1 - decay)
        hit = (statistics.counts > 0)[:, None]
        self.codebook[0].copy_(torch.where(hit, self.sums[0] / self.counts[0][:, None], self.codebook[0]))

    def _write(self, codes: Tensor, vectors: Tensor) -> None:
        self.codebook[0, codes], self.sums[0, codes] = vectors, vectors
        self.counts[0, codes] = 1.0
