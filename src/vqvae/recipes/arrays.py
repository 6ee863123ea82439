"""Any array file (.npy or .npz). Its shape and values determine the network, the likelihood and the prior."""

import logging
import math
from collections.abc import Callable
from typing import Any

from vqvae.codes import Level
from vqvae.data import ArrayConfig
from vqvae.data.arrays import FEW_LEVELS, Source, open_source
from vqvae.data.cache import user_path
from vqvae.errors import ConfigError
from vqvae.likelihoods import CategoricalConfig, GaussianConfig, GaussianDensityConfig, LikelihoodConfig, LogisticMixtureConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ArrayDecoderConfig, ArrayEncoderConfig, ImageDecoderConfig, ImageEncoderConfig
from vqvae.recipes.base import Recipe, codebook, cosine, pixelcnn
from vqvae.recipes.speech import wavenet
from vqvae.signals import Signal
from vqvae.training import TrainConfig

logger = logging.getLogger(__name__)
_READ: dict[str, Callable[[str], Any]] = {"layout": str, "key": str, "window": int, "levels": int, "low": float, "high": float}
"""Settings of the data that affect the model's settings, with their parsers."""
_WIDTHS = {1: 128, 2: 96, 3: 48}
"""Channels of the network, by number of axes."""
_BATCH_VALUES, _MOST = 2**18, 64
"""The approximate number of values in a batch, and the largest number of examples."""


def tokenizer(path: str | None, **words: str) -> TrainConfig:
    """Settings that fit an array file.

    Args:
        path: the .npy or .npz file.
        words: settings of ``ArrayConfig``, as given on the command line.

    Raises:
        ConfigError: if there is no path, or a setting is wrong.
        DataError: if the file cannot be read, or its shape does not determine its axes.
    """
    if path is None:
        raise ConfigError("The recipe 'arrays' trains on your own arrays. Give the file: --data x.npy")
    data = ArrayConfig(path=path, **{name: _read(name, word) for name, word in words.items()})
    if not user_path(path).is_file():  # Help needs no data, and training reports the missing file.
        return _settings(data, Signal(axes=("time",), channels=1), (128,), (0.0,), (1.0,))
    source = open_source(data)
    config = _settings(data, source.signal, source.size, source.statistics.centre, source.statistics.unit)
    logger.info("%s %s", source.describe(), _choice(source, config))
    return config


def prior(level: Level, classes: int) -> TrainConfig:
    """A gated PixelCNN for maps of codes, a WaveNet for all others."""
    if len(level.stride) == 2:
        return TrainConfig(model=pixelcnn(level, layers=10, hidden=64, classes=classes), steps=5_000, batch_size=32, optimizer=cosine(1e-3))
    return TrainConfig(model=wavenet(level, layers=12, residual=64, skip=128), steps=5_000, batch_size=16, optimizer=cosine(2e-3))


def strides(size: tuple[int, ...]) -> tuple[int, ...]:
    """Positions per code along each axis. A series gets about 32 codes, but at most 64 positions per code. The axes of pictures and volumes
    get 1, 2, 4 or 8 positions per code, by their lengths."""
    if len(size) == 1:
        return (min(64, max(1, 2 ** round(math.log2(max(size[0], 8) / 32)), 2 if size[0] >= 8 else 1)),)
    large = 160 if len(size) == 2 else 96
    small = 16 if len(size) == 2 else 32
    return tuple(1 if length < 8 else 2 if length < small else 4 if length <= large else 8 for length in size)


def likelihood(signal: Signal, centre: tuple[float, ...], unit: tuple[float, ...]) -> LikelihoodConfig:
    """Categorical for few levels, a Gaussian for pictures, a mixture of logistics for all other levels, a density for floats."""
    if signal.levels is None:
        return GaussianDensityConfig(channels=signal.channels, low=signal.low, high=signal.high, centre=centre, unit=unit)
    if signal.levels <= FEW_LEVELS:
        return CategoricalConfig(channels=signal.channels, levels=signal.levels)
    if signal.levels == 256 and len(signal.axes) == 2:
        return GaussianConfig(channels=signal.channels)
    return LogisticMixtureConfig(channels=signal.channels, mixtures=5, levels=signal.levels)


def _settings(data: ArrayConfig, signal: Signal, size: tuple[int, ...], centre: tuple[float, ...], unit: tuple[float, ...]) -> TrainConfig:
    stride, width = strides(size), _WIDTHS[len(size)]
    is_picture = len(size) == 2 and signal.levels is not None and len(set(stride)) == 1 and stride[0] > 1
    if is_picture:
        widths = (64, 128, 128)[: stride[0].bit_length() - 1]
        encoder: Any = ImageEncoderConfig(widths=widths, residual_hidden=64)
        decoder: Any = ImageDecoderConfig(widths=widths[::-1], residual_hidden=64)
    else:
        moments: dict[str, Any] = {} if signal.levels is not None else {"centre": centre, "unit": unit}
        encoder = ArrayEncoderConfig(axes=signal.axes, stride=stride, width=width, **moments)
        decoder = ArrayDecoderConfig(stride=stride, width=width)
    values = math.prod(size) * signal.channels
    return TrainConfig(
        model=VQVAEConfig(quantizer=codebook(), likelihood=likelihood(signal, centre, unit), encoder=encoder, decoder=decoder),
        data=data,
        steps=5_000,
        batch_size=min(_MOST, max(2, _BATCH_VALUES // values)),
        optimizer=cosine(1e-3),
    )


def _choice(source: Source, config: TrainConfig) -> str:
    """A sentence about the chosen model."""
    model: Any = config.model
    stride = "×".join(map(str, strides(source.size)))
    codes = math.prod(-(-length // step) for length, step in zip(source.size, strides(source.size), strict=True))
    moments = "; each channel is standardised" if source.signal.levels is None else ""
    return (
        f"Model: {type(model.encoder).__name__.removesuffix('Config')}, {stride} positions per code, {codes} codes per example, "
        f"{type(model.likelihood).__name__.removesuffix('Config')}{moments}."
    )


def _read(name: str, word: str) -> Any:
    try:
        return _READ[name](word)
    except ValueError as error:
        raise ConfigError(f"--data.{name} is {word!r}; expected a number.") from error


RECIPE = Recipe(
    name="arrays",
    summary="a .npy or .npz file of pictures, series, spectrograms or volumes with any number of channels",
    paper="the setup of E2, for any data",
    cost="half an hour for each of the two stages on 2 cores",
    expected="depends on the data",
    tokenizer=tokenizer,
    prior=prior,
    looks_at=tuple(_READ),
)
