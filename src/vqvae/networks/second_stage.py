"""A second stage over maps of codes: one vector per image, and a PixelCNN conditioned on it. The set-up of E5 [VQVAE §4.2]."""

from typing import ClassVar

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.codes import check_codes
from vqvae.config import settings
from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.code_pixelcnn import CodesPixelCNN, PixelCNNState, check_pixelcnn
from vqvae.layers.residual import ResidualBlock2d
from vqvae.networks.base import AutoregressiveDecoder, Encoder, Given
from vqvae.networks.image import check_widths
from vqvae.signals import AXES, Signal


@settings
class CodesEncoderConfig:
    """Embeddings, strided convolutions, residual blocks, and a last convolution that reduces the map to one vector."""

    axes: ClassVar[tuple[str, ...]] = AXES[2]
    """Axes of the data."""

    codebook_size: int
    """K, codes of each codebook of the first stage."""
    space: tuple[int, int]
    """Height and width of the maps, in codes."""
    hidden: int = 64
    """Channels of the embeddings."""
    widths: tuple[int, ...] = (128, 128)
    """Channels after each 4×4 convolution of stride 2."""
    residual_blocks: int = 2
    """Residual blocks at the lowest resolution."""
    residual_hidden: int = 128
    """Channels inside a residual block."""

    def build(self, signal: Signal, dim: int) -> "CodesEncoder":
        return CodesEncoder(self, signal, dim)


@settings
class CodesDecoderConfig:
    """A gated PixelCNN over codes, with every gate conditioned on the image's vector."""

    codebook_size: int
    """K, codes of each codebook of the first stage."""
    space: tuple[int, int]
    """Height and width of the maps, in codes."""
    layers: int = 8
    """Gated layers."""
    hidden: int = 64
    """Channels of the vertical and of the horizontal stack."""
    kernel: int = 5
    """Width of the convolutions, an odd number. They reach kernel // 2 rows up and as many columns to the left."""
    output_hidden: int = 128
    """Hidden units of the output layer, per codebook."""
    dropout: float = 0.0
    """Dropout probability of the horizontal gates in training."""

    def __post_init__(self) -> None:
        check_pixelcnn(self)

    def build(self, dim: int, num_parameters: int) -> "CodesDecoder":
        return CodesDecoder(self, dim, num_parameters)


class CodesEncoder(Encoder):
    """A map of codes to one vector.

    codes ─ embeddings, summed over codebooks ─ [conv 4×4 /2, ReLU] × n ─ residual × m ─ ReLU ─ conv over the whole map ─ z_e

    The stride is the whole map, so the latents are (batch, dim, 1, 1).
    """

    def __init__(self, config: CodesEncoderConfig, signal: Signal, dim: int) -> None:
        super().__init__()
        check_widths(config.widths)
        height, width = config.space
        rest = (height >> len(config.widths), width >> len(config.widths))
        if min(rest) < 1:
            raise ConfigError(
                f"CodesEncoderConfig.widths has {len(config.widths)} entries, and each halves the map; "
                f"nothing is left of {config.space}. Give fewer."
            )
        self.config = config
        self.channels, self.dim = signal.channels, dim
        self.stride, self.context = config.space, (0, 0)
        self.embedding = nn.Parameter(torch.randn(self.channels, config.codebook_size, config.hidden).div_(self.channels**0.5))
        blocks: list[nn.Module] = []
        before = config.hidden
        for after in config.widths:
            blocks += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
            before = after
        blocks += [ResidualBlock2d(before, config.residual_hidden) for _ in range(config.residual_blocks)]
        self.layers = nn.Sequential(*blocks, nn.ReLU(), nn.Conv2d(before, dim, rest))

    def forward(self, x: Integer[Tensor, "batch codebooks height width"]) -> Float[Tensor, "batch dim 1 1"]:
        """Encode maps of codes.

        Raises:
            DataError: if codes have the wrong type, shape or range.
        """
        x = check_codes(x, self.channels, self.config.codebook_size, "encoder")
        check_space(x.shape[2:], self.config.space)
        found = torch.stack([F.embedding(codes, table) for codes, table in zip(x.unbind(1), self.embedding, strict=True)])
        return self.layers(found.sum(0).permute(0, 3, 1, 2))


class CodesDecoder(CodesPixelCNN, AutoregressiveDecoder):
    """p(map of codes | vector), as a gated PixelCNN. The vector is added to the gates of every layer, as a class is in
    [arXiv 1606.05328 §2.3]."""

    def __init__(self, config: CodesDecoderConfig, dim: int, num_parameters: int) -> None:
        books, rest = divmod(num_parameters, config.codebook_size)
        if rest:
            raise ConfigError(
                f"CodesDecoderConfig.codebook_size is {config.codebook_size}, and the likelihood's {num_parameters} parameters are not a "
                "multiple of it; give both the codebook_size of the first stage."
            )
        super().__init__(
            codebook_size=config.codebook_size,
            num_codebooks=books,
            layers=config.layers,
            hidden=config.hidden,
            kernel=config.kernel,
            output_hidden=config.output_hidden,
            dropout=config.dropout,
        )
        self.config = config
        self.stride, self.context = config.space, (0, 0)
        self.given = nn.Linear(dim, config.layers * 4 * config.hidden)

    def forward(
        self, vectors: Float[Tensor, "batch dim 1 1"], condition: Condition = Condition(), past: Tensor | None = None
    ) -> Float[Tensor, "batch parameters height width"]:
        """The logits of every code, given the vectors and the earlier codes in ``past``. The condition is not used.

        Raises:
            DataError: if codes are missing, or have the wrong type, shape or range.
        """
        if past is None:
            raise DataError("past is missing; this decoder predicts each code from those before it. Give it the codes of the data.")
        past = check_codes(past, self.num_codebooks, self.codebook_size, "decoder")
        check_space(past.shape[2:], self.config.space)
        hidden = self._hidden(past.long(), self._bias(vectors), None)
        logits = torch.cat([self._logits(hidden, book) for book in range(self.num_codebooks)], dim=1)
        return logits.view(*hidden.shape[:3], logits.shape[1]).permute(0, 3, 1, 2)

    @torch.no_grad()
    def start(
        self, batch_size: int, space: tuple[int, ...], condition: Given, prefix: Integer[Tensor, "batch codebooks *space"] | None = None
    ) -> PixelCNNState:
        """The decoding state before the first code; ``prefix`` is as for a prior. Only the vectors of ``condition`` are used.

        Raises:
            DataError: if the space, the number of vectors, or the prefix's shape or range is wrong.
        """
        check_space(space, self.config.space)
        vectors = condition.vectors
        if len(vectors) != batch_size:
            raise DataError(f"{len(vectors)} vectors came for {batch_size} maps; expected one for each.")
        with torch.autocast(vectors.device.type, enabled=False):
            bias = self._bias(vectors.to(self.given.weight.dtype))
        return self._start(batch_size, space, bias, prefix)

    def _bias(self, vectors: Float[Tensor, "batch dim 1 1"]) -> Float[Tensor, "batch layers 2 gates"]:
        return self.given(vectors.flatten(1)).view(-1, self.config.layers, 2, 2 * self.config.hidden)


def check_space(found: tuple[int, ...], expected: tuple[int, int]) -> None:
    """Raise DataError unless a map has the expected size."""
    if tuple(found) != tuple(expected):
        raise DataError(f"A map of codes has the space {tuple(found)}; expected {tuple(expected)}, the size in the settings.")
