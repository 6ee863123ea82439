"""Networks as a user writes them: plain modules that know neither the package's classes nor configurations, and the same with some."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from vqvae.data.base import Condition
from vqvae.likelihoods import Criterion
from vqvae.models import VQVAE
from vqvae.quantizers import Quantizer, VectorQuantizerConfig
from vqvae.signals import Signal

STRIDE, DIM, SIZE = 2, 4, 8
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class PlainEncoder(nn.Module):
    """One convolution over blocks, of data with any number of axes. Levels are scaled here, as its author likes it."""

    def __init__(self, axes: int, channels: int, dim: int = DIM, levels: int | None = None) -> None:
        super().__init__()
        self.stride = (STRIDE,) * axes
        self.levels = levels
        self.layer = CONVOLUTIONS[axes](channels, dim, STRIDE, STRIDE)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x if self.levels is None else 2 * x.float() / (self.levels - 1) - 1)


class PlainDecoder(nn.Module):
    """One transposed convolution to blocks."""

    def __init__(self, axes: int, parameters: int, dim: int = DIM) -> None:
        super().__init__()
        self.stride = (STRIDE,) * axes
        self.layer = TRANSPOSED[axes](dim, parameters, STRIDE, STRIDE)

    def forward(self, vectors: Tensor, condition: Condition) -> Tensor:
        return self.layer(vectors)


def plain(criterion: Criterion, axes: int = 1, **changes: object) -> VQVAE:
    """A VQ-VAE of plain modules around a criterion."""
    torch.manual_seed(0)
    parts = {
        "encoder": PlainEncoder(axes, criterion.channels, levels=criterion.levels),
        "quantizer": quantizer(),
        "decoder": PlainDecoder(axes, criterion.num_parameters),
        "criterion": criterion,
        **changes,
    }
    return VQVAE(**parts)


def quantizer() -> Quantizer:
    return VectorQuantizerConfig(dim=DIM, codebook_size=SIZE, start_from_data=False).build()


def data(*shape: int, seed: int = 0) -> Tensor:
    """Floats without bounds, smooth along the last axis."""
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return x.cumsum(-1) / shape[-1] ** 0.5


def train(model: nn.Module, batches: Sequence[object], steps: int = 40) -> list[float]:
    """The losses of so many steps of Adam."""
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for step in range(steps):
        optimizer.zero_grad()
        loss = model.train()(batches[step % len(batches)]).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    model.eval()
    return losses


@dataclass(frozen=True, kw_only=True)
class OwnEncoderConfig:
    """Settings of an encoder of one's own."""

    axes: ClassVar[tuple[str, ...]] = ("time",)
    width: int = 3
    """A setting."""

    def build(self, signal: Signal, dim: int) -> "OwnEncoder":
        return OwnEncoder(self, signal, dim)


class OwnEncoder(nn.Module):
    """As ``PlainEncoder`` over time, with settings."""

    def __init__(self, config: OwnEncoderConfig, signal: Signal, dim: int) -> None:
        super().__init__()
        self.config, self.stride = config, (STRIDE,)
        self.layers = nn.Sequential(nn.Conv1d(signal.channels, config.width, STRIDE, STRIDE), nn.ReLU(), nn.Conv1d(config.width, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@dataclass(frozen=True, kw_only=True)
class OwnDecoderConfig:
    """Settings of a decoder of one's own."""

    width: int = 3
    """A setting."""

    def build(self, dim: int, num_parameters: int) -> "OwnDecoder":
        return OwnDecoder(self, dim, num_parameters)


class OwnDecoder(nn.Module):
    """As ``PlainDecoder`` over time, with settings."""

    def __init__(self, config: OwnDecoderConfig, dim: int, num_parameters: int) -> None:
        super().__init__()
        self.config, self.stride = config, (STRIDE,)
        self.layers = nn.Sequential(nn.Conv1d(dim, config.width, 1), nn.ConvTranspose1d(config.width, num_parameters, STRIDE, STRIDE))

    def forward(self, vectors: Tensor, condition: Condition) -> Tensor:
        return self.layers(vectors)
