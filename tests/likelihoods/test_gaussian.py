"""The discretised Gaussian beside scipy, in float64."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from vqvae.errors import DataError
from vqvae.likelihoods import GaussianConfig

LEVELS = torch.arange(256, dtype=torch.uint8).view(256, 1, 1)


@pytest.mark.parametrize("scale", [0.3, 1.0, 8.0, 60.0])
@pytest.mark.parametrize("mean", [-1.2, -1.0, -0.3, 0.0, 0.5, 1.0])
def test_levels_sum_to_one_and_equal_scipy(scale: float, mean: float) -> None:
    likelihood = GaussianConfig(channels=1, scale=scale).build()
    parameters = torch.full((256, 1, 1), mean)
    log_p = likelihood.log_prob(parameters, LEVELS).detach().double().numpy()
    assert np.isfinite(log_p).all()
    assert abs(np.exp(log_p).sum() - 1) < 1e-4
    centre, levels = 127.5 + 127.5 * float(np.float32(mean)), np.arange(256)
    upper, lower = np.where(levels == 255, np.inf, levels + 0.5), np.where(levels == 0, -np.inf, levels - 0.5)
    right = lower > centre
    mass = np.where(
        right,
        norm.sf(lower, centre, scale) - norm.sf(upper, centre, scale),
        norm.cdf(upper, centre, scale) - norm.cdf(lower, centre, scale),
    )
    seen = mass > 1e-30
    np.testing.assert_allclose(log_p[seen], np.log(mass[seen]), rtol=2e-4, atol=2e-4)


def test_mode_and_sample() -> None:
    likelihood = GaussianConfig(channels=1, scale=2.0).build()
    parameters = (torch.arange(256).view(256, 1, 1) - 127.5) / 127.5
    assert torch.equal(likelihood.mode(parameters), LEVELS)
    draw = lambda: likelihood.sample(parameters, torch.Generator().manual_seed(3))  # noqa: E731
    assert torch.equal(draw(), draw())
    assert 1 < (draw().float() - LEVELS.float()).std() < 3


@pytest.mark.parametrize("x", [torch.zeros(2, 3, 4), torch.zeros(2, 1, 4, dtype=torch.uint8), torch.zeros(2, 3, 5, dtype=torch.uint8)])
def test_wrong_data_is_an_error(x: torch.Tensor) -> None:
    with pytest.raises(DataError):
        GaussianConfig().build().log_prob(torch.zeros(2, 3, 4), x)
