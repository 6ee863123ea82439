"""No quantization: to measure what quantization costs, and to test the modules that use a quantizer."""

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from vqvae.config import check_at_least, settings
from vqvae.errors import DataError
from vqvae.quantizers.base import Quantized, Quantizer, check_finite, check_latents


@settings
class IdentityQuantizerConfig:
    """Passes latents unchanged."""

    dim: int
    """D, channels of the latents."""

    def build(self) -> "IdentityQuantizer":
        return IdentityQuantizer(self)


class IdentityQuantizer(Quantizer):
    """The identity, with no codebooks and so no codes."""

    num_codebooks = 0
    codebook_size = 0

    def __init__(self, config: IdentityQuantizerConfig) -> None:
        super().__init__()
        check_at_least(1, config, "dim")
        self.config = config
        self.dim = config.dim

    def quantize(
        self,
        latents: Float[Tensor, "batch dim *space"],
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Quantized:
        """The latents, with codes (batch, 0, *space) and zero loss. Masked positions are zero."""
        check_latents(latents, self.dim)
        vectors = latents if mask is None else torch.where(mask.unsqueeze(1), latents, 0)
        check_finite(vectors.detach(), "latents")
        codes = torch.empty(latents.shape[0], 0, *latents.shape[2:], dtype=torch.int64, device=latents.device)
        return Quantized(vectors, codes, latents.new_zeros((), dtype=torch.float32))

    def dequantize(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """Raise DataError: there are no codes to decode."""
        raise DataError("IdentityQuantizer has no codebook, so it cannot decode codes. Use another quantizer.")
