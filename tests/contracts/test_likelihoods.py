"""What every likelihood of the Union must do beside what every criterion does, and what those with bins must."""

import itertools

import pytest
import torch
from torch import Tensor

from tests.contracts.criteria import CONFIGS, bins_of, data, each, parameters, signal_of
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import (
    BinnedLikelihood,
    Categorical,
    CategoricalCodes,
    CategoricalCodesConfig,
    CategoricalConfig,
    Likelihood,
    LikelihoodConfig,
    ParametricLikelihood,
)

FEW = 4096
every = each(Likelihood)
binned = each(BinnedLikelihood)
DENSITIES = [config for config in CONFIGS if isinstance(config.build(), Likelihood) and not isinstance(config.build(), BinnedLikelihood)]


@every
def test_the_loss_is_minus_the_log_of_the_probability(config: LikelihoodConfig) -> None:
    likelihood = config.build()
    p, x = parameters(likelihood, 3, 3, 4), data(likelihood, 3, 3, 4)
    with torch.no_grad():
        assert torch.equal(likelihood.loss(p, x), -likelihood.log_prob(p, x))


@every
def test_samples_are_data_of_the_seed(config: LikelihoodConfig) -> None:
    likelihood = config.build()
    p = parameters(likelihood, 2, 5, 4, scale=0.3)
    with torch.no_grad():
        first, again, other = (likelihood.sample(p, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
        mode = likelihood.mode(p)
        assert torch.equal(likelihood.sample(p, temperature=0.0), mode)
    signal_of(likelihood).check(first)
    assert (first.dtype, first.shape) == (mode.dtype, mode.shape)
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (getattr(config, "codebook_size", 2) == 1)
    with pytest.raises(ConfigError, match="temperature"):
        likelihood.sample(p, temperature=-1.0)


@binned
def test_samples_follow_the_probabilities_which_sum_to_one(config: LikelihoodConfig) -> None:
    likelihood, levels = config.build().requires_grad_(False), bins_of(config.build())
    # Of few levels, those at the ends have most of a wide distribution.
    count = 200_000 if levels <= 16 else 20_000
    p = parameters(likelihood, 1, 1, 1, scale=0.1).flatten(2).expand(count, -1, -1)
    x = likelihood.sample(p, torch.Generator().manual_seed(0))
    # The mean of 1 / p(x) over samples in a box is the number of levels in the box, all channels together.
    least, most = levels // 4, max(3 * levels // 4, levels // 4 + 1)
    bins = likelihood.discretise(x)
    inside = ((bins >= least) & (bins < most)).flatten(1).all(1)
    counted = (-likelihood.log_prob(p, x)[inside].double()).exp().sum() / count
    assert float(counted) == pytest.approx((most - least) ** likelihood.channels, rel=0.05)


@binned
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_bins_sum_to_one(config: LikelihoodConfig, scale: float) -> None:
    likelihood, levels = config.build(), bins_of(config.build())
    values = torch.arange(levels).view(-1, 1)
    if likelihood.channels > 1:
        if levels**likelihood.channels > FEW:
            pytest.skip("there are too many")
        values = torch.tensor(list(itertools.product(range(levels), repeat=likelihood.channels)))
    x = likelihood.restore(values.unsqueeze(2))
    for one in parameters(likelihood, 3, 1, 1, scale=scale).flatten(2):
        with torch.no_grad():
            total = likelihood.log_prob(one.expand(len(x), -1, -1), x).double().exp().sum()
        torch.testing.assert_close(total, torch.ones((), dtype=torch.float64), rtol=1e-4, atol=0)


@binned
def test_every_bin_is_data_and_survives(config: LikelihoodConfig) -> None:
    likelihood = config.build()
    bins = torch.arange(bins_of(likelihood)).view(-1, 1, 1).expand(-1, likelihood.channels, 1)
    x = likelihood.restore(bins)
    likelihood.signal(("time",)).check(x)
    found = likelihood.discretise(x)
    assert found.dtype == torch.int64 and torch.equal(found, bins)
    with pytest.raises(DataError):
        likelihood.discretise(x[:, :0])


@each(ParametricLikelihood)
def test_logits_are_those_of_the_bins(config: LikelihoodConfig) -> None:
    likelihood, levels = config.build(), bins_of(config.build())
    p = parameters(likelihood, 2, 1, 1).flatten(1)
    logits = likelihood.logits(p)
    assert logits.shape == (2, levels) and logits.dtype == torch.float32
    for row, one in enumerate(p):
        x = likelihood.restore(torch.arange(levels).view(-1, 1, 1))
        expected = likelihood.log_prob(one.view(1, -1, 1).expand(levels, -1, -1), x)
        torch.testing.assert_close(logits[row].log_softmax(0), expected, rtol=1e-3, atol=1e-4)


def density(likelihood: Likelihood, p: Tensor, x: Tensor) -> Tensor:
    """p(x) of values of one channel."""
    with torch.no_grad():
        return likelihood.log_prob(p.expand(len(x), -1, -1), x.view(-1, 1, 1)).double().exp()


@each(configs=[config for config in DENSITIES if config.build().channels == 1])
def test_densities_integrate_to_one_and_samples_follow_them(config: LikelihoodConfig) -> None:
    likelihood, p = config.build(), 0.1 * torch.ones(1, 1, 1)
    least, most = (-10.0, 10.0) if likelihood.low is None else (likelihood.low, likelihood.high)
    # In float64, where the ends of the range are themselves.
    x = torch.linspace(least, most, 200_001, dtype=torch.float64)
    each_density = density(likelihood, p, x)
    assert float(torch.trapezoid(each_density, x)) == pytest.approx(1, rel=1e-4)
    with torch.no_grad():
        drawn = likelihood.sample(p.expand(20_000, -1, -1), torch.Generator().manual_seed(0)).flatten().double()
    below = torch.cumulative_trapezoid(each_density, x)
    quantiles = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    found = (drawn[:, None] < x[1:][torch.searchsorted(below, quantiles)]).double().mean(0)
    # Five standard errors of a share of a half among 20,000.
    torch.testing.assert_close(found, quantiles, rtol=0, atol=5 * 0.5 / 20_000**0.5)


def test_categorical_beside_torch_distributions() -> None:
    likelihood: Categorical = CategoricalConfig(channels=3).build()
    p, x = parameters(likelihood, 2, 3, 4), data(likelihood, 2, 3, 4)
    logits = p.reshape(2, 3, 256, 3, 4).movedim(2, -1)
    expected = torch.distributions.Categorical(logits=logits).log_prob(x.long()).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(p, x), expected)


def test_categorical_codes_beside_torch_distributions() -> None:
    likelihood: CategoricalCodes = CategoricalCodesConfig(codebook_size=5, channels=2).build()
    p, x = parameters(likelihood, 2, 3, 4), torch.randint(5, (2, 2, 3, 4), generator=torch.Generator().manual_seed(1))
    logits = p.reshape(2, 2, 5, 3, 4).movedim(2, -1)
    expected = torch.distributions.Categorical(logits=logits).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(likelihood.log_prob(p, x), expected)
    with pytest.raises(DataError, match="0 to 4"):
        likelihood.log_prob(p, x + 1)
    with pytest.raises(ConfigError, match="codebook_size"):
        CategoricalCodesConfig(codebook_size=0).build()
