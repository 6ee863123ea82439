"""Codebooks in sequence, each quantizing the residual of those before it [SoundStream §III-C].

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
    """``num_codebooks`` codebooks in sequence: the first quantizes the latents, each further one the remaining residual."""

    dim: int
    """D, channels of the latents and of every codebook."""
    codebook_size: int
    """K, codes of each codebook."""
    num_codebooks: int
    """Number of codebooks, which is the number of codes per position."""
    commitment_cost: float = 0.25
    """β, the weight of the commitment term."""
    decay: float = 0.99
    """γ of the running statistics (only if ``learning`` is 'ema')."""
    revive_after: int = 0
    """A code unused for this many training steps is set to a residual of the batch at its codebook. 0: never."""
    gradient: Gradient = "straight_through"
    """How the decoder's gradient reaches the encoder."""
    start_from_data: bool = True
    """Initialise each codebook by k-means over its residuals of the first training latents, instead of at random."""
    learning: Literal["ema", "gradient"] = "ema"
    """How the codebooks learn: by running means or by gradients."""

    def part(self) -> EMAQuantizerConfig | VectorQuantizerConfig:
        """The configuration of one codebook. It has no ``gradient``: the decoder's gradient bypasses the codebooks."""
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

    Every codebook has the commitment term of its own residual, plus the codebook term if it learns by gradient. The loss is their
    mean over codebooks. Residuals subtract vectors without a gradient: with a straight-through gradient at each codebook, later
    residuals would have none, and their commitment terms no effect. The decoder's gradient passes once, from the sum to the latents.

    Differs from the paper: training drops no codebooks at random. Dropping them serves decoding from fewer codes, and here decoding
    always uses all of them.
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
        """Quantize by one codebook after the other; see ``Quantizer.forward``. Each chooses its own nearest code (with ``costs``,
        the cheapest), so the sum need not be the nearest one."""
        check_latents(latents, self.dim)
        every = [None] * self.num_codebooks if costs is None else costs.split(1)
        with torch.autocast(latents.device.type, enabled=False):
            rows = to_rows(latents, mask)
            count = count_entries(rows, mask)
            residual, found = rows, []
            # The first codebook finds latents that are not finite, before any codebook changes.
            for part, costs_ in zip(self.parts, every, strict=True):
                chosen = part.quantize_rows(residual, count, costs_)
                residual = residual - chosen.vectors.detach()
                found.append(chosen)
            vectors = pass_gradient(rows, _sum(chosen.vectors.detach() for chosen in found), self.config.gradient)
            loss = torch.stack([chosen.loss for chosen in found]).mean()
            return from_rows(latents, mask, torch.stack([chosen.codes for chosen in found], dim=1), vectors, loss)

    def dequantize(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """The vectors of codes, one from each codebook; see ``Quantizer.decode``."""
        codes = check_codes(codes, self.num_codebooks, self.codebook_size, "quantizer")
        return _sum(part.dequantize(group) for part, group in zip(self.parts, codes.split(1, dim=1), strict=True))

    @torch.no_grad()
    def start(self, latents: Float[Tensor, "rows dim"]) -> None:
        """Initialise one codebook after the other, each from the residuals of those before it."""
        residual = latents.float()
        for part in self.parts:
            part.start(residual)
            residual = residual - part.quantize_rows(residual, 1.0).vectors


def _sum(vectors: Iterable[Tensor]) -> Tensor:
    """Their sum, always in the same order: decoding must give the same bits."""
    return reduce(torch.add, vectors)
