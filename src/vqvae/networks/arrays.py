"""An encoder and a decoder of arrays with one, two or three axes. Each axis has its own stride."""

import math
from dataclasses import field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vqvae.config import check_at_least, settings
from vqvae.data.base import Condition
from vqvae.errors import ConfigError
from vqvae.layers.residual import ResidualBlock
from vqvae.networks.base import Decoder, Encoder
from vqvae.signals import Signal

_CONV: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@settings
class ArrayEncoderConfig:
    """Strided convolutions, then residual blocks, over one to three axes."""

    axes: tuple[str, ...] = field(default=("time",), metadata={"value": "NAME ..."})
    """The names of the data's axes."""
    stride: tuple[int, ...] = (4,)
    """Positions per latent along each axis; powers of 2."""
    width: int = 128
    """Channels of every layer."""
    residual_blocks: int = 2
    """Residual blocks at the lowest resolution."""
    centre: tuple[float, ...] = ()
    """For floats: subtracted from each channel. One number per channel, or none."""
    unit: tuple[float, ...] = ()
    """For floats: each channel is then divided by this. One number per channel, or none."""

    def build(self, signal: Signal, dim: int) -> "ArrayEncoder":
        return ArrayEncoder(self, signal, dim)


@settings
class ArrayDecoderConfig:
    """Residual blocks, then transposed convolutions: the encoder mirrored."""

    stride: tuple[int, ...] = (4,)
    """Positions per latent along each axis; powers of 2."""
    width: int = 128
    """Channels of every layer."""
    residual_blocks: int = 2
    """Residual blocks at the lowest resolution."""

    def build(self, dim: int, num_parameters: int) -> "ArrayDecoder":
        return ArrayDecoder(self, dim, num_parameters)


class ArrayEncoder(Encoder):
    """Arrays to latents.

    x ─ [conv 4 /2 (3 /1 along axes that have reached their stride), ReLU] × n ─ residual × m ─ ReLU ─ conv 1 ─ z_e
    """

    def __init__(self, config: ArrayEncoderConfig, signal: Signal, dim: int) -> None:
        super().__init__()
        steps = _steps(config.stride)
        check_at_least(1, config, "width")
        check_at_least(0, config, "residual_blocks")
        if len(config.axes) != len(config.stride):
            raise ConfigError(f"stride is {config.stride} and axes are {config.axes}; give one stride per axis.")
        for name, values in (("centre", config.centre), ("unit", config.unit)):
            check_channels(name, values, signal.channels)
        self.config, self.signal, self.dim, self.stride = config, signal, dim, config.stride
        conv = _CONV[len(config.stride)]
        blocks: list[nn.Module] = []
        before = signal.channels
        for step in steps:
            blocks += [conv(before, config.width, tuple(2 + one for one in step), step, 1), nn.ReLU()]
            before = config.width
        blocks += [ResidualBlock(len(config.stride), config.width, config.width) for _ in range(config.residual_blocks)]
        self.layers = nn.Sequential(*blocks, nn.ReLU(), conv(config.width, dim, 1))
        self.context = tuple(_sight([step[axis] for step in steps], config.residual_blocks) for axis in range(len(config.stride)))

    def forward(self, x: Tensor) -> Float[Tensor, "batch dim *space"]:
        """Encode arrays (batch, channels, *axes) whose sides are multiples of the stride.

        Raises:
            DataError: if they do not match the signal.
        """
        unit = self.signal.to_unit(self.signal.check(x))
        if self.config.unit and self.signal.levels is None:
            unit = (x.to(unit.dtype) - along_channels(self.config.centre, unit)) / along_channels(self.config.unit, unit)
        return self.layers(unit)


class ArrayDecoder(Decoder):
    """Vectors to the parameters of a likelihood.

    z_q ─ conv 3 ─ residual × m ─ ReLU ─ [transposed conv 4 ×2 (3 ×1), ReLU] × n−1 ─ transposed conv ─ parameters
    """

    def __init__(self, config: ArrayDecoderConfig, dim: int, num_parameters: int) -> None:
        super().__init__()
        steps = _steps(config.stride)[::-1]
        check_at_least(1, config, "width")
        check_at_least(0, config, "residual_blocks")
        self.config, self.stride = config, config.stride
        count = len(config.stride)
        blocks: list[nn.Module] = [_CONV[count](dim, config.width, 3, padding=1)]
        blocks += [ResidualBlock(count, config.width, config.width) for _ in range(config.residual_blocks)]
        for number, step in enumerate(steps):
            after = num_parameters if number == len(steps) - 1 else config.width
            blocks += [nn.ReLU(), _TRANSPOSED[count](config.width, after, tuple(2 + one for one in step), step, 1)]
        self.layers = nn.Sequential(*blocks)
        self.context = tuple(
            1
            + config.residual_blocks
            + math.ceil(sum(1 / math.prod([one[axis] for one in steps[:number]]) for number in range(len(steps))))
            for axis in range(count)
        )

    def forward(
        self, vectors: Float[Tensor, "batch dim *space"], condition: Condition = Condition(), past: Tensor | None = None
    ) -> Float[Tensor, "batch parameters *positions"]:
        """Decode. Condition and past are not used."""
        return self.layers(vectors)


def check_channels(name: str, values: tuple[float, ...], channels: int) -> None:
    """Raise ConfigError unless there is one finite number per channel, or none. A unit must be positive."""
    good = all(math.isfinite(value) and (value > 0 or name != "unit") for value in values)
    if len(values) not in (0, channels) or not good:
        raise ConfigError(f"{name} has {len(values)} numbers, {values[:4]}; expected {channels} finite ones, one per channel, or none.")


def along_channels(values: tuple[float, ...], like: Tensor) -> Tensor:
    """One number per channel, shaped to broadcast over (batch, channels, *axes)."""
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, *[1] * (like.ndim - 2))


def _steps(stride: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The stride of each layer along each axis: 2 until the axis has its total stride."""
    if len(stride) not in _CONV or any(one < 1 or one > 2**16 or one & (one - 1) for one in stride):
        raise ConfigError(f"stride is {stride}; expected one to three powers of 2, one per axis.")
    count = max(1, max(stride).bit_length() - 1)
    return [tuple(2 if one > 2**number else 1 for one in stride) for number in range(count)]


def _sight(steps: list[int], residual_blocks: int) -> int:
    """The number of positions that a latent sees along an axis, on each side of its own block."""
    sight, step = 1, 1
    for stride in steps:
        sight, step = sight + (1 + stride) * step, step * stride
    return math.ceil((sight + 2 * step * residual_blocks - step) / 2)
