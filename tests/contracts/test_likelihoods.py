"""What every likelihood of the Union must do."""

import inspect
import math
import typing

import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import Categorical, CategoricalCodes, CategoricalCodesConfig, CategoricalConfig, Likelihood, LikelihoodConfig

KINDS = typing.get_args(LikelihoodConfig)
AUDIO = [kind for kind in KINDS if "channels" not in inspect.signature(kind).parameters]
"""Those whose data has one channel and one axis, whatever is asked for."""


def make(kind: type, channels: int) -> Likelihood:
    """Of 256 levels, whatever its data are."""
    settings = {"channels": channels, "codebook_size": 256}
    return kind(**{name: value for name, value in settings.items() if name in inspect.signature(kind).parameters}).build()


DENSITIES = [kind for kind in KINDS if make(kind, 1).is_density]
every = pytest.mark.parametrize("kind", DENSITIES)


def space(kind: type, *sides: int) -> tuple[int, ...]:
    """Two axes, or one that is as long as both together."""
    return (math.prod(sides),) if kind in AUDIO else sides


def parameters(likelihood: Likelihood, *shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    batch, *space = shape
    return scale * torch.randn(batch, likelihood.num_parameters, *space, generator=torch.Generator().manual_seed(seed))


def data(likelihood: Likelihood, *shape: int, seed: int = 1) -> torch.Tensor:
    """Random levels as the data that the likelihood takes."""
    batch, *sides = shape
    levels = torch.randint(0, 256, (batch, likelihood.channels, *sides), generator=torch.Generator().manual_seed(seed))
    return likelihood.restore(levels)


def test_the_union_has_data_of_every_kind_and_one_that_is_no_density() -> None:
    assert AUDIO and len(AUDIO) < len(KINDS) and set(DENSITIES) < set(KINDS)


@every
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_levels_sum_to_one(kind: type, scale: float) -> None:
    likelihood = make(kind, 1)
    one = parameters(likelihood, 20, 1, scale=scale)
    levels = likelihood.restore(torch.arange(256).view(256, 1, 1))
    total = sum(likelihood.log_prob(one, level.expand(20, 1, 1)).double().exp() for level in levels)
    torch.testing.assert_close(total, torch.ones(20, dtype=torch.float64), rtol=1e-4, atol=0)


@every
def test_an_example_is_the_sum_of_its_pixels_and_others_do_not_matter(kind: type) -> None:
    likelihood = make(kind, 3)
    sides = space(kind, 2, 3)
    p, x = parameters(likelihood, 4, *sides), data(likelihood, 4, *sides)
    whole = likelihood.log_prob(p, x)
    assert whole.shape == (4,)
    torch.testing.assert_close(whole[2:3], likelihood.log_prob(p[2:3], x[2:3]))
    p, x = p.flatten(2), x.flatten(2)
    parts = sum(likelihood.log_prob(p[..., i : i + 1], x[..., i : i + 1]) for i in range(6))
    torch.testing.assert_close(whole, parts)


@every
def test_gradients_equal_float64_differences(kind: type) -> None:
    likelihood = make(kind, 1).double()
    sides = space(kind, 1, 2)
    p, x = parameters(likelihood, 2, *sides).double().requires_grad_(), data(likelihood, 2, *sides)
    likelihood.log_prob(p, x).sum().backward()
    direction = parameters(likelihood, 2, *sides, seed=7).double()
    step = 1e-5
    with torch.no_grad():
        difference = (likelihood.log_prob(p + step * direction, x) - likelihood.log_prob(p - step * direction, x)).sum() / (2 * step)
    torch.testing.assert_close((p.grad * direction).sum(), difference, rtol=1e-3, atol=1e-4)


@every
def test_float32_under_autocast(kind: type) -> None:
    likelihood = make(kind, 3)
    sides = space(kind, 3, 4)
    p, x = parameters(likelihood, 2, *sides), data(likelihood, 2, *sides)
    expected = likelihood.log_prob(p, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(likelihood.log_prob(p, x), expected)
    assert likelihood.log_prob(p.bfloat16(), x).dtype == torch.float32


@every
def test_samples_are_data_of_the_seed(kind: type) -> None:
    likelihood = make(kind, 3)
    sides = space(kind, 5, 4)
    p = parameters(likelihood, 2, *sides)
    first, again, other = (likelihood.sample(p, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert first.dtype == likelihood.mode(p).dtype == data(likelihood, 1, 1).dtype
    assert first.shape == likelihood.mode(p).shape == (2, likelihood.channels, *sides)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(likelihood.sample(p, temperature=0.0), likelihood.mode(p))
    with pytest.raises(ConfigError):
        likelihood.sample(p, temperature=-1.0)


@every
@pytest.mark.parametrize("channels", [1, 3])
def test_samples_follow_the_probabilities_which_sum_to_one(kind: type, channels: int) -> None:
    likelihood, count = make(kind, channels).requires_grad_(False), 20_000
    p = parameters(likelihood, 1, 1, scale=0.1).expand(count, -1, -1)
    x = likelihood.sample(p, torch.Generator().manual_seed(0))
    # The mean of 1 / p(x) over samples in a box is the number of levels in the box, all channels together.
    bins = likelihood.discretise(x)
    inside = ((bins >= 64) & (bins < 192)).flatten(1).all(1)
    counted = (-likelihood.log_prob(p, x)[inside].double()).exp().sum() / count
    assert float(counted) == pytest.approx(128**likelihood.channels, rel=0.05)


@every
def test_every_level_survives(kind: type) -> None:
    likelihood, levels = make(kind, 1), torch.arange(256).view(256, 1, 1)
    assert torch.equal(likelihood.discretise(likelihood.restore(levels)), levels)


@every
def test_empty_batch(kind: type) -> None:
    likelihood, sides = make(kind, 3), space(kind, 2, 2)
    assert likelihood.log_prob(parameters(likelihood, 0, *sides), data(likelihood, 0, *sides)).shape == (0,)


@every
def test_wrong_data_is_an_error(kind: type) -> None:
    likelihood = make(kind, 3)
    p, x = parameters(likelihood, 2, 4), data(likelihood, 2, 4)
    for wrong in (x.to(torch.int32 if x.is_floating_point() else torch.float32), torch.cat([x, x[:, :1]], 1), x[..., :3], x[:1]):
        with pytest.raises(DataError):
            likelihood.log_prob(p, wrong)


@every
def test_a_mask_leaves_out_or_is_refused(kind: type) -> None:
    likelihood = make(kind, 1)
    p, x, mask = parameters(likelihood, 2, 5), data(likelihood, 2, 5), torch.arange(5) < torch.tensor([[3], [0]])
    if not likelihood.takes_masks:
        with pytest.raises(DataError, match="mask"):
            likelihood.log_prob(p, x, mask)
        return
    found = likelihood.log_prob(p, x, mask)
    torch.testing.assert_close(found[:1], likelihood.log_prob(p[:1, :, :3], x[:1, :, :3]))
    assert float(found[1].detach()) == 0


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
