"""What every distance of waves says of itself: no density, no bins, nothing to draw."""

import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import CepstralConfig, SpectralConfig
from vqvae.likelihoods.distance import Distance

every = pytest.mark.parametrize("likelihood", [SpectralConfig().build(), CepstralConfig().build()], ids=["spectral", "cepstral"])


@every
def test_it_is_a_distance_of_one_channel_and_no_density(likelihood: Distance) -> None:
    assert isinstance(likelihood, Distance) and not likelihood.is_density
    assert likelihood.takes_masks and likelihood.channels == 1


@every
def test_a_sample_is_the_mode_at_any_temperature(likelihood: Distance) -> None:
    parameters = 0.1 * torch.randn(2, likelihood.num_parameters, 5, generator=torch.Generator().manual_seed(0))
    mode = likelihood.mode(parameters)
    assert mode.shape == (2, 1, 5 * likelihood.hop) and mode.any()
    for temperature in (0.0, 0.5, 1.0):
        assert torch.equal(likelihood.sample(parameters, torch.Generator().manual_seed(1), temperature), mode)
    with pytest.raises(ConfigError):
        likelihood.sample(parameters, temperature=-1.0)


@every
def test_there_are_no_bins(likelihood: Distance) -> None:
    name = type(likelihood).__name__
    with pytest.raises(DataError, match=f"{name} has no bins"):
        likelihood.discretise(torch.zeros(1, 1, 4))
    with pytest.raises(DataError, match=f"{name} has no bins"):
        likelihood.restore(torch.zeros(1, 1, 4, dtype=torch.int64))
