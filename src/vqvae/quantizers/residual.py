"""Codebooks one after the other, each on what the ones before it have left over [SoundStream §III-C].

[SoundStream] is Zeghidour et al. 2021, https://arxiv.org/abs/2107.03312.
"""

from collections.abc import Iterable
from functools import reduce
from typing import Literal

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from vqvae.codes import check_codes
from vqvae.config import check_at_least, settings
from vqvae.quantizers.base import Quantized, check_latents
from vqvae.quantizers.ema import EMAQuantizerConfig
from vqvae.quantizers.gradient import Gradient, pass_gradient
from vqvae.quantizers.rows import count_entries, from_rows, to_rows
from vqvae.quantizers.several import SeveralCodebooks
from vqvae.quantizers.vector import VectorQuantizerConfig


@settings
class ResidualQuantizerConfig:
    """``num_codebooks`` codebooks in a row: the first on the latents, each further one on the difference that is left."""

    dim: int
    """D, channels of the latents and of every codebook."""
    codebook_size: int
    """K, codes of each codebook."""
    num_codebooks: int
    """How many codebooks, and so codes a position."""
    commitment_cost: float = 0.25
    """β, the weight of the commitment term."""
    decay: float = 0.99
    """γ of the running statistics (only where ``learning`` is 'ema')."""
    revive_after: int = 0
    """Training steps without a hit after which a code is set to what its codebook sees of a latent of the batch; 0 is off."""
    gradient: Gradient = "straight_through"
    """How the decoder's gradient reaches the encoder."""
    start_from_data: bool = True
    """Start each codebook by k-means over what it sees of the first training latents; otherwise they start random."""
    learning: Literal["ema", "gradient"] = "ema"
    """Whether the codebooks follow running means or gradients."""

    def part(self) -> EMAQuantizerConfig | VectorQuantizerConfig:
        """The configuration of one of the codebooks. The gradient passes by them, so none is said."""
        shared = {
            "dim": self.dim,
            "codebook_size": self.codebook_size,
            "commitment_cost": self.commitment_cost,
            "revive_after": self.revive_after,
            "start_from_data": self.start_from_data,
        }
        return EMAQuantizerConfig(**shared, decay=self.decay) if self.learning == "ema" else VectorQuantizerConfig(**shared)

    def build(self) -> "ResidualQuantizer":
        return ResidualQuantizer(self)


class ResidualQuantizer(SeveralCodebooks):
    """Residual quantizer: r_1 = z_e, z_i the code nearest to r_i, r_{i+1} = r_i − e_{z_i}; the vectors are z_q = Σ e_{z_i}.

    Every codebook has the commitment term of its own residual, and the codebook term where it learns by gradient; the loss is their
    mean over the codebooks. Residuals are taken from vectors without a gradient: if the straight-through gradient passed each codebook,
    residuals after the first would have none, and their commitment terms no effect. The decoder's gradient passes once, from
    the sum to the latents.

    Differs from the paper: no codebooks are left out at random in training. That serves decoding fewer codes than there are, and
    here all of them say what the vectors are.
    """

    def __init__(self, config: ResidualQuantizerConfig) -> None:
        check_at_least(1, config, "dim", "num_codebooks")
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
        """Quantize by one codebook after the other; see ``Quantizer.forward``. Each chooses the nearest (or with its ``costs``
        cheapest) code for itself, which need not make the nearest sum."""
        check_latents(latents, self.dim)
        every = [None] * self.num_codebooks if costs is None else costs.split(1)
        with torch.autocast(latents.device.type, enabled=False):
            rows = to_rows(latents, mask)
            count = count_entries(rows, mask)
            residual, found = rows, []
            # What is not finite is found by the first codebook, before any has changed.
            for part, costs_ in zip(self.parts, every, strict=True):
                chosen = part.quantize_rows(residual, count, costs_)
                residual = residual - chosen.vectors.detach()
                found.append(chosen)
            vectors = pass_gradient(rows, _sum(chosen.vectors.detach() for chosen in found), self.config.gradient)
            loss = torch.stack([chosen.loss for chosen in found]).mean()
            return from_rows(latents, mask, torch.stack([chosen.codes for chosen in found], dim=1), vectors, loss)

    def dequantize(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """The vectors of given codes, one of every codebook; see ``Quantizer.decode``."""
        codes = check_codes(codes, self.num_codebooks, self.codebook_size, "quantizer")
        return _sum(part.dequantize(group) for part, group in zip(self.parts, codes.split(1, dim=1), strict=True))

    @torch.no_grad()
    def start(self, latents: Float[Tensor, "rows dim"]) -> None:
        """Start one codebook after the other, each from what those before it have left over."""
        residual = latents.float()
        for part in self.parts:
            part.start(residual)
            residual = residual - part.quantize_rows(residual, 1.0).vectors


def _sum(vectors: Iterable[Tensor]) -> Tensor:
    """Their sum, always in the same order: decoding must give the same bits."""
    return reduce(torch.add, vectors)
