"""Encoders of audio: strided convolutions over the raw wave [VQVAE §4.3], or over its log-mel spectrum."""

import math
from itertools import accumulate
from operator import mul
from typing import ClassVar

from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from vqvae.config import check_at_least, settings
from vqvae.errors import ConfigError
from vqvae.layers.mel import FLOOR, LogMel, mean_of_loud
from vqvae.layers.residual import ResidualBlock1d
from vqvae.networks.base import Encoder
from vqvae.signals import AXES, Signal, sound

LOUDNESS = 0.05
"""About the root mean square of speech. Raw audio is divided by it."""
ENDLESS = 2**62
"""The context of an encoder that sees whole recordings."""


@settings
class AudioEncoderConfig:
    """Strided convolutions over the raw wave, then residual blocks."""

    axes: ClassVar[tuple[str, ...]] = AXES[1]
    """Axes of the data."""

    strides: tuple[int, ...] = (2, 2, 2, 2, 2, 2)
    """Stride of each convolution; its window is twice as long. Six strides of 2 give the paper's 64 samples per latent."""
    width: int = 256
    """Channels at the lowest rate."""
    first_width: int | None = None
    """Channels of the first convolution. They double at each further one, up to ``width``: channels cost most at the highest rates.
    None: ``width`` everywhere."""
    residual_blocks: int = 2
    """Residual blocks at the lowest rate."""

    def build(self, signal: Signal, dim: int) -> "AudioEncoder":
        return AudioEncoder(self, signal, dim)


@settings
class LogMelEncoderConfig:
    """A fixed log-mel spectrum, then strided convolutions and residual blocks."""

    axes: ClassVar[tuple[str, ...]] = AXES[1]
    """Axes of the data."""

    rate: int = 16_000
    """Samples per second."""
    window: int = 400
    """Window length of a spectrum, in samples."""
    hop: int = 160
    """Samples from one spectrum to the next."""
    mels: int = 80
    """Mel bands."""
    strides: tuple[int, ...] = (2, 2)
    """Stride of each convolution over the spectra. A latent covers ``hop`` times their product, in samples."""
    width: int = 256
    """Channels of every layer."""
    residual_blocks: int = 2
    """Residual blocks at the lowest rate."""
    normalise: bool = False
    """Whether to subtract the mean spectrum of a recording's loud moments: the constant colour of speaker and microphone."""

    def build(self, signal: Signal, dim: int) -> "LogMelEncoder":
        return LogMelEncoder(self, signal, dim)


class AudioEncoder(Encoder):
    """Raw audio to latents.

    x / loudness of speech ─ [conv 2s /s, ReLU] × n ─ residual × m ─ ReLU ─ conv 1 ─ z_e

    All padding is silence around the wave. Layers do not pad.
    """

    def __init__(self, config: AudioEncoderConfig, signal: Signal, dim: int) -> None:
        super().__init__()
        check_sound(signal)
        self.config, self.signal, self.dim = config, signal, dim
        self.trunk = _Trunk(signal.channels, dim, config.strides, config.width, config.residual_blocks, config.first_width)
        self.stride = (self.trunk.stride,)
        self.context = (max(self.trunk.before, self.trunk.after),)

    def forward(self, x: Shaped[Tensor, "batch channels time"]) -> Float[Tensor, "batch dim frames"]:
        """Encode audio in [-1, 1], whose length is a multiple of the stride.

        Raises:
            DataError: if audio has another type, shape or range.
        """
        self.signal.check(x)
        return self.trunk(F.pad(x.float() / LOUDNESS, (self.trunk.before, self.trunk.after)))


class LogMelEncoder(Encoder):
    """Audio to latents through its log-mel spectrum.

    x ─ log-mel, from -1 (-100 dB) to 1 (full scale) ─ [conv 2s /s, ReLU] × n ─ residual × m ─ ReLU ─ conv 1 ─ z_e

    The scale is fixed: a latent depends only on the sound around it. With ``normalise``, the mean of the recording is subtracted. Every
    latent then depends on the whole recording, and a stream is encoded only when it has ended.
    """

    def __init__(self, config: LogMelEncoderConfig, signal: Signal, dim: int) -> None:
        super().__init__()
        check_sound(signal)
        self.config, self.signal, self.dim = config, signal, dim
        self.log_mel = LogMel(sample_rate=config.rate, window=config.window, hop_length=config.hop, mels=config.mels)
        self.trunk = _Trunk(config.mels, dim, config.strides, config.width, config.residual_blocks)
        self.stride = (config.hop * self.trunk.stride,)
        # A spectrum's window reaches this far beyond its own hop.
        beyond = max(0, math.ceil((config.window - config.hop) / 2))
        self.context = (ENDLESS if config.normalise else max(self.trunk.before, self.trunk.after) * config.hop + beyond,)

    def forward(self, x: Shaped[Tensor, "batch channels time"]) -> Float[Tensor, "batch dim frames"]:
        """Encode audio in [-1, 1], whose length is a multiple of the stride.

        Raises:
            DataError: if audio has another type, shape or range.
        """
        self.signal.check(x)
        hop = self.config.hop
        spectra = self.log_mel(F.pad(x[:, 0].float(), (self.trunk.before * hop, self.trunk.after * hop)))
        if self.config.normalise:
            spectra = spectra - mean_of_loud(spectra)
            return self.trunk(-spectra * (2 / math.log(FLOOR)))
        return self.trunk(1 - spectra * (2 / math.log(FLOOR)))


class _Trunk(nn.Module):
    """Strided convolutions and residual blocks without padding: (batch, channels, before + frames · stride + after) to
    (batch, dim, frames)."""

    stride: int
    before: int
    """Number of input positions that a latent sees before its own block."""
    after: int
    """Number of input positions that a latent sees after its own block."""

    def __init__(
        self, channels: int, dim: int, strides: tuple[int, ...], width: int, residual_blocks: int, first_width: int | None = None
    ) -> None:
        super().__init__()
        check_strides(strides)
        check_at_least(1, "", width=width, first_width=first_width)
        check_at_least(0, "", residual_blocks=residual_blocks)
        steps = list(accumulate(strides, mul, initial=1))
        self.stride = steps[-1]
        reach = ResidualBlock1d.reach * residual_blocks * self.stride
        self.before = reach + sum(stride // 2 * step for stride, step in zip(strides, steps, strict=False))
        self.after = reach + sum((stride - stride // 2) * step for stride, step in zip(strides, steps, strict=False))
        blocks: list[nn.Module] = []
        for i, stride in enumerate(strides):
            wide = width if i == len(strides) - 1 else min(width, (first_width or width) * 2**i)
            blocks += [nn.Conv1d(channels, wide, 2 * stride, stride), nn.ReLU()]
            channels = wide
        blocks += [ResidualBlock1d(width, width) for _ in range(residual_blocks)]
        self.layers = nn.Sequential(*blocks, nn.ReLU(), nn.Conv1d(width, dim, 1))
        # torch's default weights halve a signal at every layer, and the biases add as much again. After six layers, latents would
        # hardly differ, and all of them would have the same code.
        for layer in self.layers:
            if isinstance(layer, nn.Conv1d) and layer.bias is not None:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch dim frames"]:
        return self.layers(x)


def check_sound(signal: Signal) -> None:
    """Raise ConfigError unless data is floats in [-1, 1] with one channel."""
    if not sound().fits(signal):
        raise ConfigError(
            f"The likelihood's data is {signal.values()} with {signal.channels} channels; sound is {sound().values()} with one. Use a "
            "criterion for sound, such as MuLawConfig."
        )


def check_strides(strides: tuple[int, ...]) -> None:
    """Raise ConfigError unless there is at least one stride and all are positive."""
    if not strides or min(strides) < 1:
        raise ConfigError(f"strides is {strides}; it must hold at least one number, each at least 1.")
