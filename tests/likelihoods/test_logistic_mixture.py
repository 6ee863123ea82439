"""The discretised mixture of logistics beside scipy, in float64."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import logistic

from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import LogisticMixture, LogisticMixtureConfig

LEVELS = torch.arange(256, dtype=torch.uint8).view(256, 1, 1)


def join(logits: list, means: list, log_scales: list, coefficients: list = ()) -> torch.Tensor:
    """Parameters of one position: logits (mixtures), means and scales (channels, mixtures), coefficients (3, mixtures)."""
    return torch.cat([torch.tensor(part, dtype=torch.float64).flatten() for part in (logits, means, log_scales, coefficients)])[
        None, :, None
    ]


def reference(parameters: np.ndarray, x: np.ndarray, mixtures: int) -> float:
    """log p of one pixel: parameters (parameters,), x (channels,), step by step as the paper writes it."""
    channels = len(x)
    rows = parameters.astype(np.float64).reshape(-1, mixtures)
    logits, means, log_scales, coefficients = np.split(rows, [1, 1 + channels, 1 + 2 * channels])
    unit = x / 127.5 - 1.0
    joint = logits[0] - logsumexp(logits[0])
    for channel in range(channels):
        mean = means[channel].copy()
        if channels == 3 and channel == 1:
            mean += np.tanh(coefficients[0]) * unit[0]
        if channels == 3 and channel == 2:
            mean += np.tanh(coefficients[1]) * unit[0] + np.tanh(coefficients[2]) * unit[1]
        scale = np.exp(np.clip(log_scales[channel], -7, 7))
        for m in range(mixtures):
            spread = logistic(mean[m], scale[m])
            lower, upper = unit[channel] - 1 / 255, unit[channel] + 1 / 255
            if x[channel] == 0:
                joint[m] += spread.logcdf(upper)
            elif x[channel] == 255:
                joint[m] += spread.logsf(lower)
            elif unit[channel] > mean[m]:
                joint[m] += logsumexp([spread.logsf(lower), spread.logsf(upper)], b=[1, -1])
            else:
                joint[m] += logsumexp([spread.logcdf(upper), spread.logcdf(lower)], b=[1, -1])
    return logsumexp(joint)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("spread", "log_scale"), [(1.0, 0.0), (1.0, -4.0), (3.0, -9.0), (20.0, -5.0), (0.5, 9.0)])
def test_equals_scipy(channels: int, spread: float, log_scale: float) -> None:
    likelihood, generator = LogisticMixtureConfig(channels=channels, mixtures=4).build(), np.random.default_rng(0)
    parameters = spread * generator.standard_normal((24, likelihood.num_parameters, 1)).astype(np.float32)
    parameters[:, 4 * (1 + channels) : 4 * (1 + 2 * channels)] += log_scale
    x = generator.choice([0, 1, 17, 128, 200, 254, 255], (24, channels, 1)).astype(np.uint8)
    expected = [reference(p[:, 0], level[:, 0], 4) for p, level in zip(parameters, x.astype(np.float64), strict=True)]
    found = likelihood.log_prob(torch.from_numpy(parameters), torch.from_numpy(x))
    assert found.dtype == torch.float32
    # float32 keeps 7 digits of a pixel's place; a scale of e^-7 magnifies that by 1100.
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5, atol=2e-3 if log_scale < -8 else 2e-4)
    exactly = likelihood.log_prob(torch.from_numpy(parameters.astype(np.float64)), torch.from_numpy(x))
    np.testing.assert_allclose(exactly.numpy(), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("log_scale", [-20.0, -6.0, -4.0, 0.0, 20.0])
@pytest.mark.parametrize("mean", [-30.0, -1.0, -0.999, 0.0, 0.3, 1.0, 30.0])
def test_levels_sum_to_one_at_extremes(mean: float, log_scale: float) -> None:
    likelihood = LogisticMixtureConfig(channels=1, mixtures=1).build()
    one = join([0.0], [mean], [log_scale]).float().expand(256, -1, -1)
    log_p = likelihood.log_prob(one, LEVELS)
    assert torch.isfinite(log_p).all()
    torch.testing.assert_close(log_p.double().exp().sum(), torch.tensor(1.0, dtype=torch.float64), rtol=2e-4, atol=0)


def test_channels_sum_out() -> None:
    """Over all levels of green and blue, p(red, green, blue) is the p(red) of scipy, whatever green and blue depend on."""
    likelihood, generator = LogisticMixtureConfig(mixtures=2).build(), torch.Generator().manual_seed(0)
    parameters = torch.randn(1, likelihood.num_parameters, 1, generator=generator)
    for red in (0, 130, 255):
        x = torch.cartesian_prod(torch.tensor([red]), torch.arange(256), torch.arange(256)).to(torch.uint8).unsqueeze(2)
        total = likelihood.log_prob(parameters.expand(len(x), -1, -1), x).double().logsumexp(0).exp()
        p = parameters[0, :, 0].numpy().reshape(-1, 2)
        alone = reference(np.concatenate([p[0], p[1], p[4]]), np.array([float(red)]), 2)
        assert float(total) == pytest.approx(np.exp(alone), rel=1e-4)


@pytest.mark.parametrize(("channels", "slopes"), [(3, True), (4, False)])
def test_green_and_blue_depend_on_what_comes_before(channels: int, slopes: bool) -> None:
    likelihood = LogisticMixtureConfig(channels=channels, mixtures=1).build()
    means, scales = [[0.0]] * channels, [[-6.0]] * channels
    # Green is red, and blue is their mean; tanh never quite reaches 1.
    parameters = join([0.0], means, scales, [[20.0], [np.arctanh(0.5)], [np.arctanh(0.5)]] if slopes else []).float()
    equal = torch.full((1, channels, 1), 200, dtype=torch.uint8)
    other = equal.clone()
    other[0, 1] = 127
    grey = torch.full_like(equal, 127)
    p = {name: float(likelihood.log_prob(parameters, x)) for name, x in (("equal", equal), ("other", other), ("grey", grey))}
    if slopes:
        assert p["equal"] > p["other"] + 10
    else:
        assert p["grey"] > p["other"] > p["equal"]


@pytest.mark.parametrize("spread", [1.0, 10.0, 1e4, 1e36])
def test_slopes_of_far_off_parameters_are_finite(spread: float) -> None:
    likelihood, generator = LogisticMixtureConfig().build(), torch.Generator().manual_seed(0)
    parameters = (spread * torch.randn(8, likelihood.num_parameters, 2, 2, generator=generator)).requires_grad_()
    x = torch.randint(0, 256, (8, 3, 2, 2), dtype=torch.uint8, generator=generator)
    log_p = likelihood.log_prob(parameters, x)
    log_p.sum().backward()
    assert torch.isfinite(log_p).all() and torch.isfinite(parameters.grad).all()
    assert parameters.grad.abs().sum() > 0


def test_slopes_equal_float64_differences_with_three_channels() -> None:
    likelihood, generator = LogisticMixtureConfig(mixtures=2).build(), torch.Generator().manual_seed(0)
    parameters = torch.randn(3, likelihood.num_parameters, 2, dtype=torch.float64, generator=generator).requires_grad_()
    x = torch.tensor([[0, 7, 255], [255, 0, 128], [30, 20, 10]], dtype=torch.uint8).unsqueeze(2).repeat(1, 1, 2)
    assert torch.autograd.gradcheck(lambda p: likelihood.log_prob(p, x), parameters)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pieces_are_the_whole(monkeypatch: pytest.MonkeyPatch, layout: torch.memory_format) -> None:
    likelihood, generator = LogisticMixtureConfig(mixtures=2).build(), torch.Generator().manual_seed(0)
    parameters = torch.randn(3, likelihood.num_parameters, 4, 5, generator=generator).contiguous(memory_format=layout)
    x = torch.randint(0, 256, (3, 3, 4, 5), dtype=torch.uint8, generator=generator)

    def both() -> tuple[torch.Tensor, torch.Tensor]:
        leaf = parameters.clone().requires_grad_()
        log_p = likelihood.log_prob(leaf, x)
        return log_p.detach(), torch.autograd.grad(log_p.sum(), leaf)[0]

    whole = both()
    for cached in (6, 7 * 6, 45 * 6):
        monkeypatch.setattr("vqvae.likelihoods.logistic_mixture._CACHED", cached)
        torch.testing.assert_close(both(), whole)


def colour() -> tuple[LogisticMixture, torch.Tensor]:
    """Two components; green follows red up and blue follows green down."""
    likelihood = LogisticMixtureConfig(mixtures=2).build()
    means = [[-0.5, 0.4], [0.1, 0.0], [0.0, 0.9]]
    return likelihood, join([0.0, 1.0], means, [[-3.0, -2.5], [-4.0, -3.0], [-3.0, -2.0]], [[0.8, 0.5], [0.0, 0.2], [-0.9, -0.4]]).float()


def test_samples_follow_the_probabilities() -> None:
    likelihood, one = colour()
    count = 20_000
    x = likelihood.sample(one.expand(count, -1, -1), torch.Generator().manual_seed(0))
    nats = -likelihood.log_prob(one.expand(count, -1, -1), x)
    # Were the samples from p, then 1 / p would count the levels: here those of a box around the middle of the second component.
    inside = ((x[:, :, 0].float() - torch.tensor([180.0, 150.0, 230.0])).abs() <= 12).all(1)
    counted = (nats[inside].double().exp()).sum() / count
    assert float(counted) == pytest.approx(25**3, rel=0.1)


def test_the_mode_is_the_mean_of_samples() -> None:
    likelihood, one = colour()
    x = likelihood.sample(one.expand(40_000, -1, -1), torch.Generator().manual_seed(0))
    assert (x.double().mean(0) - likelihood.mode(one)[0].double()).abs().max() < 1.5


def test_the_mode_moves_what_lies_beyond_to_the_edge() -> None:
    likelihood = LogisticMixtureConfig(channels=1, mixtures=1).build()
    wide = [likelihood.mode(join([0.0], [mean], [0.0]).float()).item() for mean in (-40.0, 0.01, 40.0)]
    assert wide == [0, 128, 255]
    p = likelihood.log_prob(join([0.0], [0.5], [0.0]).float().expand(256, -1, -1), LEVELS).exp()
    assert likelihood.mode(join([0.0], [0.5], [0.0]).float()).item() == round(float((p * torch.arange(256)).sum()))


def test_temperature_narrows_components_and_prefers_the_likelier_ones() -> None:
    one = join([0.0], [0.0], [-2.0]).float().expand(4_000, -1, -1)
    single = LogisticMixtureConfig(channels=1, mixtures=1).build()
    spread = [single.sample(one, torch.Generator().manual_seed(0), t).float().std() for t in (0.5, 1.0)]
    assert float(spread[1] / spread[0]) == pytest.approx(2, rel=0.02)
    two = join([0.0, 1.0], [-0.9, 0.9], [-5.0, -5.0]).float().expand(4_000, -1, -1)
    double = LogisticMixtureConfig(channels=1, mixtures=2).build()
    shares = [(double.sample(two, torch.Generator().manual_seed(0), t) > 127).float().mean() for t in (0.5, 1.0)]
    # The logistic function of the difference of the logits, at 2 and at 1.
    assert [float(share) for share in shares] == pytest.approx([0.881, 0.731], abs=0.02)


def test_wrong_settings_are_errors() -> None:
    with pytest.raises(ConfigError, match="mixtures is 0"):
        LogisticMixtureConfig(mixtures=0).build()
    with pytest.raises(ConfigError, match="channels is 0"):
        LogisticMixtureConfig(channels=0).build()
    with pytest.raises(DataError, match="Parameters"):
        LogisticMixtureConfig().build().log_prob(torch.zeros(2, 99, 4), torch.zeros(2, 3, 4, dtype=torch.uint8))
