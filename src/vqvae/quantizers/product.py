"""Several independent codebooks on groups of channels: the 8×8×10 latents of [VQVAE §4.1]."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from vqvae.codes import check_codes
from vqvae.config import check_at_least, settings
from vqvae.errors import ConfigError
from vqvae.quantizers.base import Quantized, check_finite, check_latents
from vqvae.quantizers.ema import EMAQuantizerConfig
from vqvae.quantizers.gradient import Gradient
from vqvae.quantizers.several import SeveralCodebooks
from vqvae.quantizers.vector import VectorQuantizerConfig


@settings
class ProductQuantizerConfig:
    """``num_codebooks`` independent codebooks, each on its own ``dim / num_codebooks`` channels."""

    dim: int
    """Channels of the latents, over all codebooks."""
    codebook_size: int
    """K, codes of each codebook."""
    num_codebooks: int
    """Number of codebooks, which is the number of codes per position."""
    commitment_cost: float = 0.25
    """β, the weight of the commitment term."""
    decay: float = 0.99
    """γ of the running statistics (only if ``learning`` is 'ema')."""
    revive_after: int = 0
    """A code unused for this many training steps is set to a latent of the batch. 0: never."""
    gradient: Gradient = "straight_through"
    """How the decoder's gradient reaches the encoder."""
    start_from_data: bool = True
    """Initialise the codebooks by k-means over the first training latents, instead of at random."""
    learning: Literal["ema", "gradient"] = "ema"
    """How the codebooks learn: by running means or by gradients."""

    def part(self) -> EMAQuantizerConfig | VectorQuantizerConfig:
        """The configuration of one codebook."""
        shared = {
            "dim": self.dim // self.num_codebooks,
            "codebook_size": self.codebook_size,
            "commitment_cost": self.commitment_cost,
            "revive_after": self.revive_after,
            "gradient": self.gradient,
            "start_from_data": self.start_from_data,
        }
        return EMAQuantizerConfig(**shared, decay=self.decay) if self.learning == "ema" else VectorQuantizerConfig(**shared)

    def build(self) -> "ProductQuantizer":
        return ProductQuantizer(self)


class ProductQuantizer(SeveralCodebooks):
    """Product quantizer: splits channels into groups, each with its own codebook and code."""

    def __init__(self, config: ProductQuantizerConfig) -> None:
        check_at_least(1, config, "dim", "num_codebooks")
        if config.dim % config.num_codebooks:
            raise ConfigError(f"dim is {config.dim}; it must be a multiple of num_codebooks ({config.num_codebooks}).")
        super().__init__(
            dim=config.dim, codebook_size=config.codebook_size, parts=(config.part().build() for _ in range(config.num_codebooks))
        )
        self.config = config

    def quantize(
        self,
        latents: Float[Tensor, "batch dim *space"],
        mask: Bool[Tensor, "batch *space"] | None = None,
        costs: Float[Tensor, "codebooks codebook_size"] | None = None,
    ) -> Quantized:
        """Quantize each group of channels with its own codebook; see ``Quantizer.forward``."""
        check_latents(latents, self.dim)
        # Check all groups first: a part that raises would leave earlier parts changed.
        check_finite(latents.detach() if mask is None else torch.where(mask.unsqueeze(1), latents.detach(), 0), "latents")
        every = [None] * self.num_codebooks if costs is None else costs.split(1)
        groups = latents.chunk(self.num_codebooks, dim=1)
        found = [part.quantize(group, mask, costs_) for part, group, costs_ in zip(self.parts, groups, every, strict=True)]
        return Quantized(
            torch.cat([q.vectors for q in found], dim=1),
            torch.cat([q.codes for q in found], dim=1),
            torch.stack([q.loss for q in found]).mean(),
        )

    def dequantize(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """The vectors of codes; see ``Quantizer.decode``."""
        codes = check_codes(codes, self.num_codebooks, self.codebook_size, "codebook")
        return torch.cat([part.dequantize(group) for part, group in zip(self.parts, codes.split(1, dim=1), strict=True)], dim=1)

    def start(self, latents: Float[Tensor, "rows dim"]) -> None:
        """Initialise each codebook from its own group of channels."""
        for part, group in zip(self.parts, latents.chunk(self.num_codebooks, dim=1), strict=True):
            part.start(group)
