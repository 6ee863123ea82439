"""Finite scalar quantization [FSQ]: every channel is rounded to one of a few levels. There is no codebook to store, search or learn.

[FSQ] is Mentzer, Minnen, Agustsson and Tschannen 2023, https://arxiv.org/abs/2309.15505.
"""

import math

import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

from vqvae.codes import check_codes
from vqvae.config import check_at_least, settings
from vqvae.errors import ConfigError
from vqvae.quantizers.base import Quantized, Quantizer, check_finite, check_latents, without_casts
from vqvae.quantizers.gradient import pass_gradient
from vqvae.quantizers.rows import from_rows, to_rows

MARGIN = 1e-3
"""ε of [FSQ Appendix A.1]: shrinks the bound by this share, so that no channel rounds to one level too many."""
MOST_LEVELS = round(1 / MARGIN)
"""With more levels, the margin would make the outermost unreachable."""
MOST_CODES = 2**31
"""The most codes that 32-bit storage can hold."""


@settings
class FSQConfig:
    """Rounds channels; a code stands for the levels of all channels. There is no loss and nothing to initialise or revive."""

    dim: int
    """D, channels of the latents. If it differs from the number of ``levels``, learned projections map to that number and back."""
    levels: tuple[int, ...] = (8, 5, 5, 5)
    """L of each channel, 2 to 1000; K is their product. The paper recommends 5 or more: 8 6 5 for about 2⁸ codes, 8 5 5 5 for 2¹⁰,
    7 5 5 5 5 for 2¹², 8 8 8 6 5 for 2¹⁴, 8 8 8 5 5 5 for 2¹⁶."""

    def build(self) -> "FSQ":
        return FSQ(self)


class FSQ(Quantizer):
    """Finite scalar quantizer: round(f(z)) per channel, with f(z) = (L−1)(1−ε)/2 · tanh(z + shift) − offset [FSQ §3.1, Appendix A.1].

    Levels are divided by ⌊L/2⌋, so vectors lie in [−1, 1]. The first channel is the least significant digit of a code.

    FSQ has one channel per entry of ``levels``, mostly 3 to 6, and the paper's networks end in that many. Here a quantizer has any
    ``dim``, which is often far larger. Therefore one linear layer maps ``dim`` to the channels and another maps back, unless ``dim``
    equals their number.
    """

    num_codebooks = 1
    levels: Tensor
    basis: Tensor
    half_width: Tensor
    bound: Tensor
    offset: Tensor
    shift: Tensor

    def __init__(self, config: FSQConfig) -> None:
        super().__init__()
        check_at_least(1, config, "dim")
        if not config.levels or not 2 <= min(config.levels) <= max(config.levels) <= MOST_LEVELS:
            raise ConfigError(
                f"FSQConfig.levels is {config.levels}; it needs one number from 2 to {MOST_LEVELS} for each channel, such as 8, 5, 5, 5."
            )
        self.config = config
        self.dim, self.codebook_size = config.dim, math.prod(config.levels)
        if self.codebook_size > MOST_CODES:
            raise ConfigError(
                f"FSQConfig.levels is {config.levels}, which makes {self.codebook_size} codes; the limit is {MOST_CODES}. "
                "Use fewer channels or fewer levels."
            )
        channels = len(config.levels)
        bounds = [(count - 1) * (1 - MARGIN) / 2 for count in config.levels]
        offsets = [0.0 if count % 2 else 0.5 for count in config.levels]
        # Not saved: they follow from the configuration.
        for name, values in (
            ("levels", config.levels),
            ("basis", [math.prod(config.levels[:channel]) for channel in range(channels)]),
            ("half_width", [count // 2 for count in config.levels]),
            ("bound", bounds),
            ("offset", offsets),
            ("shift", [math.tan(offset / bound) for offset, bound in zip(offsets, bounds, strict=True)]),
        ):
            self.register_buffer(name, torch.tensor(values), persistent=False)
        projected = config.dim != channels
        self.project_in = nn.Linear(config.dim, channels) if projected else None
        self.project_out = nn.Linear(channels, config.dim) if projected else None

    def quantize(self, latents: Float[Tensor, "batch dim *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> Quantized:
        """Round every channel, in float32 under any autocast; see ``Quantizer.forward``. The loss is 0."""
        check_latents(latents, self.dim)
        with torch.autocast(latents.device.type, enabled=False):
            rows = to_rows(latents, mask)
            check_finite(rows.detach(), "latents")
            if self.project_in is not None:
                rows = self.project_in(rows)
                check_finite(rows.detach(), "projected latents")
            bounded = torch.tanh(rows + self.shift) * self.bound - self.offset
            digits = bounded.detach().round().long() + self.half_width
            codes = (digits * self.basis).sum(1, keepdim=True)
            values = pass_gradient(bounded / self.half_width, self._values(digits), "straight_through")
            return from_rows(latents, mask, codes, self._vectors(values), rows.new_zeros(()))

    @torch.no_grad()
    def dequantize(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """The vectors of codes; see ``Quantizer.decode``."""
        codes = check_codes(codes, 1, self.codebook_size, "quantizer")
        digits = codes[:, 0].unsqueeze(-1) // self.basis % self.levels
        return self._vectors(self._values(digits)).movedim(-1, 1)

    def _values(self, digits: Int[Tensor, "*rows channels"]) -> Float[Tensor, "*rows channels"]:
        """Digits from 0 to L−1 as numbers from −1 to 1."""
        return (digits - self.half_width).float() / self.half_width

    def _vectors(self, values: Float[Tensor, "*rows channels"]) -> Float[Tensor, "*rows dim"]:
        """The channels' numbers as vectors.

        The projection is a sum of separately rounded products. The last bits of a matrix product depend on the number of rows, but
        decoding a part of the codes, or another batch, must give the same vectors.
        """
        if self.project_out is None:
            return values
        vectors = self.project_out.bias
        for channel, weight in enumerate(self.project_out.weight.unbind(1)):
            vectors = vectors + values[..., channel, None] * weight
        return vectors

    def _apply(self, fn, recurse: bool = True):  # noqa: ANN001, ANN202
        """Projections stay float32, so that codes do not depend on the model's dtype."""
        return super()._apply(without_casts(fn), recurse)
