"""The paper's image encoder and decoder: [VQVAE §4.1, §4.2]."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from vqvae.config import settings
from vqvae.data.base import Condition
from vqvae.errors import ConfigError
from vqvae.layers.residual import ResidualBlock2d
from vqvae.networks.base import Decoder, Encoder
from vqvae.signals import AXES, Signal


@settings
class ImageEncoderConfig:
    """Strided convolutions, then residual blocks."""

    axes: ClassVar[tuple[str, ...]] = AXES[2]
    """Axes of the data."""

    widths: tuple[int, ...] = (256, 256)
    """Channels after each 4×4 convolution of stride 2. With n convolutions the total stride is 2ⁿ."""
    residual_blocks: int = 2
    """Residual blocks at the lowest resolution."""
    residual_hidden: int = 256
    """Channels inside a residual block."""
    stem: bool = False
    """Whether to put a 3×3 convolution before the residual blocks, as in DeepMind Sonnet's published example."""
    overlap: bool = True
    """False: 2×2 convolutions of stride 2, then 1×1 convolutions. A code then depends on its own pixels alone, so a picture that moves by
    whole strides keeps its codes."""

    def build(self, signal: Signal, dim: int) -> "ImageEncoder":
        return ImageEncoder(self, signal, dim)


@settings
class ImageDecoderConfig:
    """Residual blocks, then transposed convolutions: the encoder mirrored."""

    widths: tuple[int, ...] = (256, 256)
    """Channels before each transposed 4×4 convolution of stride 2."""
    residual_blocks: int = 2
    """Residual blocks at the lowest resolution."""
    residual_hidden: int = 256
    """Channels inside a residual block."""

    def build(self, dim: int, num_parameters: int) -> "ImageDecoder":
        return ImageDecoder(self, dim, num_parameters)


class ImageEncoder(Encoder):
    """Images to latents.

    x ─ [conv 4×4 /2, ReLU] × n ─ (conv 3×3) ─ residual × m ─ ReLU ─ conv 1×1 ─ z_e

    The paper's text does not mention the 1×1 convolution to ``dim`` channels; its latents have the network's width. But its 10 latents
    per position need this convolution, and so do all public implementations.
    """

    def __init__(self, config: ImageEncoderConfig, signal: Signal, dim: int) -> None:
        super().__init__()
        check_widths(config.widths)
        self.config = config
        self.signal, self.dim = signal, dim
        stride = 2 ** len(config.widths)
        self.stride = (stride, stride)
        blocks: list[nn.Module] = []
        before, sight, step = signal.channels, 1, 1
        kernel, flat = (4, 3) if config.overlap else (2, 1)
        for width in config.widths:
            blocks += [nn.Conv2d(before, width, kernel, stride=2, padding=kernel // 2 - 1), nn.ReLU()]
            before, sight, step = width, sight + (kernel - 1) * step, 2 * step
        if config.stem:
            blocks.append(nn.Conv2d(before, before, flat, padding=flat // 2))
        blocks += [ResidualBlock2d(before, config.residual_hidden, kernel=flat) for _ in range(config.residual_blocks)]
        sight += (flat - 1) * step * (config.residual_blocks + config.stem)
        self.context = (math.ceil((sight - stride) / 2),) * 2
        self.layers = nn.Sequential(*blocks, nn.ReLU(), nn.Conv2d(before, dim, 1))

    def forward(self, x: Shaped[Tensor, "batch channels height width"]) -> Float[Tensor, "batch dim h w"]:
        """Encode images whose sides are multiples of the stride.

        Raises:
            DataError: if they do not match the signal.
        """
        return self.layers(self.signal.to_unit(self.signal.check(x)).contiguous(memory_format=_format(self)))


class ImageDecoder(Decoder):
    """Vectors to the parameters of a likelihood.

    z_q ─ conv 3×3 ─ residual × m ─ ReLU ─ [transposed conv 4×4 ×2, ReLU] × n−1 ─ transposed conv 4×4 ×2 ─ parameters
    """

    def __init__(self, config: ImageDecoderConfig, dim: int, num_parameters: int) -> None:
        super().__init__()
        check_widths(config.widths)
        self.config = config
        stride = 2 ** len(config.widths)
        self.stride = (stride, stride)
        widths = config.widths
        blocks: list[nn.Module] = [nn.Conv2d(dim, widths[0], 3, padding=1)]
        blocks += [ResidualBlock2d(widths[0], config.residual_hidden) for _ in range(config.residual_blocks)]
        blocks.append(nn.ReLU())
        for width, after in zip(widths, widths[1:], strict=False):
            blocks += [nn.ConvTranspose2d(width, after, 4, stride=2, padding=1), nn.ReLU()]
        blocks.append(nn.ConvTranspose2d(widths[-1], num_parameters, 4, stride=2, padding=1))
        self.layers = nn.Sequential(*blocks)
        # A transposed convolution sees one position to each side. Each further level halves that distance.
        self.context = (1 + config.residual_blocks + math.ceil(sum(0.5**level for level in range(len(widths)))),) * 2

    def forward(
        self, vectors: Float[Tensor, "batch dim h w"], condition: Condition = Condition(), past: Tensor | None = None
    ) -> Float[Tensor, "batch parameters height width"]:
        """Decode. Condition and past are not used."""
        return self.layers(vectors.contiguous(memory_format=_format(self)))


def check_widths(widths: tuple[int, ...]) -> None:
    """Raise ConfigError unless there is at least one width and all are positive."""
    if not widths or min(widths) < 1:
        raise ConfigError(f"widths is {widths}; it must hold at least one number, each at least 1.")


def _format(module: nn.Module) -> torch.memory_format:
    """The memory format of the module's weights. Inputs are converted to it."""
    weight = next(parameter for parameter in module.parameters() if parameter.ndim == 4 and parameter.shape[2] > 1)
    is_last = weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    return torch.channels_last if is_last else torch.contiguous_format
