"""Small settings of every criterion, and data and parameters for them. A new criterion has a line in ``SAMPLES``."""

import typing

import pytest
import torch
from torch import Tensor

from vqvae.layers.cepstra import CepstraConfig
from vqvae.likelihoods import (
    CategoricalCodesConfig,
    CategoricalConfig,
    CepstralConfig,
    Criterion,
    CriterionConfig,
    GaussianConfig,
    GaussianDensityConfig,
    LogisticMixtureConfig,
    MuLawConfig,
    MuLawMixtureConfig,
    PixelDistanceConfig,
    SpectralConfig,
)
from vqvae.signals import AXES, Signal

KINDS = typing.get_args(CriterionConfig)
CEPSTRA = CepstraConfig(rate=2000, window=64, hop=16, mels=6, coefficients=2)
SAMPLES: dict[type, list[dict[str, typing.Any]]] = {
    GaussianConfig: [{}, {"channels": 1}, {"levels": 16, "scale": 2.0}, {"channels": 1, "levels": 2}, {"channels": 1, "levels": 65_536}],
    LogisticMixtureConfig: [{}, {"channels": 1}, {"levels": 16}, {"channels": 1, "levels": 2}, {"channels": 1, "levels": 65_536}],
    CategoricalConfig: [{}, {"channels": 1}, {"levels": 16}, {"channels": 1, "levels": 2}, {"channels": 1, "levels": 700}],
    CategoricalCodesConfig: [{"codebook_size": 8, "channels": 2}, {"codebook_size": 512}, {"codebook_size": 1}],
    GaussianDensityConfig: [{"channels": 3}, {"channels": 1, "scale": 0.3}, {"channels": 1, "low": -0.1, "high": 0.7, "scale": 0.02}],
    MuLawConfig: [{}, {"levels": 16}, {"levels": 2}],
    MuLawMixtureConfig: [{}, {"levels": 16, "mixtures": 2}, {"levels": 2}],
    SpectralConfig: [{"windows": (8, 16)}, {"windows": (8,), "weight": 0.0}],
    CepstralConfig: [{"cepstra": CEPSTRA}],
    PixelDistanceConfig: [{}, {"channels": 1, "power": 2, "levels": 65_536}, {"channels": 5, "power": 2, "levels": None}],
}
"""Of each, settings that differ in channels, levels and bounds."""
CONFIGS = [kind(**settings) for kind in KINDS for settings in SAMPLES[kind]]


def each(*kinds: type, configs: typing.Iterable[typing.Any] = CONFIGS) -> pytest.MarkDecorator:
    """A test for each of the settings whose criterion is of all these kinds."""
    chosen = [config for config in configs if all(isinstance(config.build(), kind) for kind in kinds)]
    return pytest.mark.parametrize("config", chosen, ids=str)


def signal_of(criterion: Criterion) -> Signal:
    """Pictures, or sound for those whose data has no other axes."""
    return criterion.signal(AXES[2] if hasattr(criterion.config, "channels") else AXES[1])


def space_of(criterion: Criterion, *sides: int) -> tuple[int, ...]:
    """The sides of a picture; or as many samples as it has pixels, times the hop."""
    return sides if len(signal_of(criterion).axes) == 2 else (criterion.hop * torch.Size(sides).numel(),)


def parameters(criterion: Criterion, batch: int, *sides: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    """Random parameters for data of ``space_of(criterion, *sides)``."""
    space = [side // criterion.hop for side in space_of(criterion, *sides)]
    return scale * torch.randn(batch, criterion.num_parameters, *space, generator=torch.Generator().manual_seed(seed))


def data(criterion: Criterion, batch: int, *sides: int, seed: int = 1) -> Tensor:
    """Random raw data."""
    signal, generator = signal_of(criterion), torch.Generator().manual_seed(seed)
    shape = (batch, criterion.channels, *space_of(criterion, *sides))
    if isinstance(criterion.config, CategoricalCodesConfig):
        return torch.randint(criterion.config.codebook_size, shape, generator=generator)
    if signal.levels is not None:
        return torch.randint(signal.levels, shape, generator=generator).to(signal.dtype)
    return signal.from_unit(2 * torch.rand(shape, generator=generator) - 1)


def bins_of(criterion: Criterion) -> int:
    """How many bins a value has."""
    return getattr(criterion.config, "levels", None) or criterion.config.codebook_size
