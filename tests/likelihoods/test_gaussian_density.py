"""The Gaussian density beside torch.distributions: units, bounds, its learned scale."""

import math

import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import GaussianDensity, GaussianDensityConfig


def make(channels: int = 2, **settings: float | None) -> GaussianDensity:
    return GaussianDensityConfig(channels=channels, **settings).build()


def pair(channels: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, channels, 4, generator=generator), torch.randn(3, channels, 4, generator=generator)


@pytest.mark.parametrize("scale", [1e-3, 0.3, 1.0, 50.0])
def test_it_is_the_density_of_torch_in_the_unit_of_the_data(scale: float) -> None:
    p, x = pair()
    expected = torch.distributions.Normal(p, scale).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(make(scale=scale).log_prob(p, x), expected)


def test_with_bounds_the_decoder_speaks_of_them_and_the_scale_of_the_data() -> None:
    likelihood = make(low=2.0, high=6.0, scale=0.5)
    p, x = pair()
    x = likelihood.signal(("time",)).from_unit(x / 3)
    expected = torch.distributions.Normal(4 + 2 * p, 0.5).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(p, x), expected)
    assert torch.equal(likelihood.mode(p), (4 + 2 * p).clamp(2, 6))
    drawn = likelihood.sample(p, torch.Generator().manual_seed(0))
    assert float(drawn.min()) >= 2 and float(drawn.max()) <= 6
    with pytest.raises(DataError, match=r"expected finite floats in \[2, 6\]"):
        likelihood.log_prob(p, x - 5)


def test_without_bounds_the_mode_is_what_the_decoder_says() -> None:
    p, _ = pair()
    assert torch.equal(make().mode(100 * p), 100 * p)


def test_temperature_multiplies_the_scale() -> None:
    likelihood, p = make(1, scale=2.0), torch.full((20_000, 1, 1), 3.0)
    for temperature in (0.0, 0.5, 1.0):
        drawn = likelihood.sample(p, torch.Generator().manual_seed(0), temperature)
        # Five standard errors of a mean and of a standard deviation.
        assert abs(float(drawn.mean()) - 3) <= 5 * 2 * temperature / 20_000**0.5
        assert float(drawn.std()) == pytest.approx(2 * temperature, rel=5 / 40_000**0.5)


def test_a_learned_scale_finds_the_spread_of_each_channel() -> None:
    likelihood = make()
    assert torch.equal(likelihood.log_scale, torch.zeros(2)), "it begins at 1"
    x = torch.randn(500, 2, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.2, 4.0]).view(2, 1)
    optimizer = torch.optim.Adam(likelihood.parameters(), 1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        likelihood.loss(torch.zeros_like(x), x).mean().backward()
        optimizer.step()
    torch.testing.assert_close(likelihood.log_scale.exp(), x.square().mean((0, 2)).sqrt(), rtol=0.03, atol=0)


def test_the_scale_is_held_where_float32_has_its_square() -> None:
    likelihood, (p, x) = make(), pair()
    for steps, end in ((-100.0, -14), (100.0, 14)):
        with torch.no_grad():
            likelihood.steps_of_scale.fill_(steps)
        assert likelihood.log_scale.tolist() == [end, end]
        assert torch.isfinite(likelihood.log_prob(p, x)).all()
    assert not list(make(scale=1.0).parameters())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"channels": 0}, "GaussianDensityConfig.channels is 0"),
        ({"scale": 0.0}, "GaussianDensityConfig.scale is 0.0; it must be a positive number"),
        ({"scale": math.inf}, "scale is inf"),
        ({"scale": math.nan}, "scale is nan"),
        ({"low": 0.0}, "give both"),
        ({"low": 1.0, "high": 0.0}, "low below high"),
    ],
)
def test_settings_that_make_no_sense_are_errors(settings: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        GaussianDensityConfig(**{"channels": 1, **settings}).build()


def test_a_unit_moves_mean_and_deviation_alike() -> None:
    plain = GaussianDensityConfig(channels=1).build()
    scaled = GaussianDensityConfig(channels=1, centre=(100.0,), unit=(10.0,)).build()
    parameters, x = torch.randn(2, 1, 5), torch.randn(2, 1, 5)
    torch.testing.assert_close(scaled.mode(parameters), 100 + 10 * parameters)
    # The density of data in units of 10 is a tenth.
    torch.testing.assert_close(
        scaled.log_prob(parameters, 100 + 10 * x), plain.log_prob(parameters, x) - 5 * math.log(10), rtol=1e-4, atol=1e-4
    )
    for wrong in ({"unit": (1.0,)}, {"centre": (0.0,), "unit": (0.0,)}, {"centre": (0.0,) * 2, "unit": (1.0,) * 2}):
        with pytest.raises(ConfigError, match="one per channel"):
            GaussianDensityConfig(channels=1, **wrong).build()
