"""What every criterion of the Union must do, likelihood or distance."""

import json

import pytest
import torch
from torch import Tensor

from tests.contracts.criteria import CONFIGS, KINDS, SAMPLES, data, each, parameters, signal_of, space_of
from vqvae import config as configuration
from vqvae.errors import DataError
from vqvae.likelihoods import (
    BinnedLikelihood,
    Categorical,
    CategoricalCodesConfig,
    CepstralConfig,
    Criterion,
    CriterionConfig,
    Likelihood,
    MuLaw,
    SpectralConfig,
)
from vqvae.likelihoods.base import Expecting
from vqvae.likelihoods.distance import SoundDistance

every = each()
by_value = each(configs=[config for config in CONFIGS if not isinstance(config.build(), SoundDistance)])
with_masks = each(configs=[config for config in CONFIGS if config.build().takes_masks])
without_masks = each(configs=[config for config in CONFIGS if not config.build().takes_masks])
ROUGH = {CepstralConfig: 0.1}
"""Relative tolerance of criteria whose last windows reach beyond the end of a wave, where they find silence."""


def losses(criterion: Criterion, p: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return criterion.loss(p, x, mask)


def test_the_table_has_every_criterion_of_the_union() -> None:
    assert set(SAMPLES) == set(KINDS) and all(SAMPLES.values())


@every
def test_it_knows_its_data(config: CriterionConfig) -> None:
    criterion = config.build()
    signal = signal_of(criterion)
    signal.check(data(criterion, 2, 3, 4))
    assert (signal.channels, signal.levels, signal.low, signal.high) == (
        criterion.channels,
        criterion.levels,
        criterion.low,
        criterion.high,
    )


@every
def test_the_loss_is_a_number_of_each_example_and_others_do_not_matter(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 3, 3, 4), data(criterion, 3, 3, 4)
    whole = losses(criterion, p, x)
    assert whole.shape == (3,) and whole.dtype == torch.float32 and torch.isfinite(whole).all()
    torch.testing.assert_close(losses(criterion, p[1:2], x[1:2]), whole[1:2])
    assert torch.equal(criterion(p, x).detach(), whole), "called, it is its loss"
    assert losses(criterion, p[:0], x[:0]).shape == (0,)


@by_value
def test_the_loss_is_the_sum_over_positions(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 2, 2, 3).flatten(2), data(criterion, 2, 2, 3).flatten(2)
    parts = sum(losses(criterion, p[..., i : i + 1], x[..., i : i + 1]) for i in range(6))
    torch.testing.assert_close(losses(criterion, p, x), parts)


@each(configs=[SpectralConfig(windows=(8, 16)), CepstralConfig(cepstra=SAMPLES[CepstralConfig][0]["cepstra"])])
def test_a_distance_of_sound_is_a_mean_times_its_samples(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 1, 3, 4), data(criterion, 1, 3, 4)
    once, often = (losses(criterion, p.repeat(1, 1, times), x.repeat(1, 1, times)) / times for times in (8, 16))
    # But for what the two ends hear.
    torch.testing.assert_close(once, often, rtol=0.05, atol=0)


@every
def test_gradients_equal_float64_differences(config: CriterionConfig) -> None:
    criterion = config.build().double()
    p, x = parameters(criterion, 2, 1, 2).double().requires_grad_(), data(criterion, 2, 1, 2)
    criterion.loss(p, x).sum().backward()
    direction, step = parameters(criterion, 2, 1, 2, seed=7).double(), 1e-5
    difference = (losses(criterion, p + step * direction, x) - losses(criterion, p - step * direction, x)).sum() / (2 * step)
    torch.testing.assert_close((p.grad * direction).sum(), difference, rtol=1e-3, atol=1e-4)


@every
def test_float32_under_autocast(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 2, 3, 4), data(criterion, 2, 3, 4)
    expected, mode = losses(criterion, p, x), criterion.mode(p)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(losses(criterion, p, x), expected)
        assert torch.equal(criterion.mode(p), mode)
    assert losses(criterion, p.bfloat16(), x).dtype == torch.float32


@every
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_the_mode_is_data(config: CriterionConfig, scale: float) -> None:
    criterion = config.build()
    with torch.no_grad():
        mode = criterion.mode(parameters(criterion, 2, 3, 4, scale=scale))
    assert mode.shape == (2, criterion.channels, *space_of(criterion, 3, 4))
    signal_of(criterion).check(mode)
    # Codes are int64 everywhere.
    assert mode.dtype == (torch.int64 if isinstance(config, CategoricalCodesConfig) else signal_of(criterion).dtype)


@each(Expecting)
def test_the_mean_has_a_gradient(config: CriterionConfig) -> None:
    criterion = config.build()
    p = parameters(criterion, 2, 3, 4).requires_grad_()
    mean = criterion.mean(p)
    assert mean.shape == (2, criterion.channels, *space_of(criterion, 3, 4))
    weights = torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
    (mean * weights).sum().backward()
    assert torch.isfinite(p.grad).all() and p.grad.flatten(1).any(1).all()
    assert criterion.mean(p.detach().bfloat16()).dtype == torch.float32


@each(Expecting)
def test_the_mode_is_the_mean_as_data_but_where_bins_have_no_order(config: CriterionConfig) -> None:
    criterion, signal = config.build(), signal_of(config.build())
    p = parameters(criterion, 1, 2, 2)
    if not isinstance(criterion, Categorical | MuLaw):
        assert torch.equal(criterion.mode(p), signal.from_unit(criterion.mean(p)))
        return
    # There it is what the probabilities of the bins make it.
    bins = torch.arange(config.levels)
    share = p.unflatten(1, (-1, config.levels)).softmax(2).double()
    expected = torch.einsum("bcl...,l->bc...", share, signal.to_unit(criterion.restore(bins)).double())
    torch.testing.assert_close(criterion.mean(p).double(), expected, rtol=1e-5, atol=1e-6)


@every
def test_wrong_data_is_an_error(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 2, 3, 4), data(criterion, 2, 3, 4)
    other = x.float() if not x.is_floating_point() else x.to(torch.int32)
    for wrong in (other, torch.cat([x, x[:, :1]], 1), x[..., : -criterion.hop], x[:1], x[..., None], x.bool()):
        with pytest.raises(DataError):
            criterion.loss(p, wrong)


@every
def test_values_that_there_are_not_are_an_error(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 2, 3, 4), data(criterion, 2, 3, 4)
    wrong = x.long() if criterion.levels is not None else x.clone()
    for value in (-1, criterion.levels) if criterion.levels is not None else (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(DataError):
            criterion.loss(p, wrong.index_fill(2, torch.tensor([1]), value))


@every
def test_wrong_parameters_are_an_error(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 2, 3, 4), data(criterion, 2, 3, 4)
    for wrong in (torch.cat([p, p[:, :1]], 1), p[:1], p[..., :-1]):
        with pytest.raises(DataError):
            criterion.loss(wrong, x)
    with pytest.raises(DataError):
        criterion.mode(torch.cat([p, p[:, :1]], 1))


@with_masks
def test_masked_examples_are_what_they_are_alone(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 3, 3, 4), data(criterion, 3, 3, 4)
    keep = [x.shape[-1], 3 * x.shape[-1] // 4, 0]
    mask = (torch.arange(x.shape[-1]) < torch.tensor(keep)[:, None]).view(3, *[1] * (x.ndim - 3), -1).expand(3, *x.shape[2:])
    found = losses(criterion, p, x, mask)
    for row, length in enumerate(keep[:2]):
        moments = length // criterion.hop
        alone = losses(criterion, p[row : row + 1, ..., :moments], x[row : row + 1, ..., :length])
        torch.testing.assert_close(found[row : row + 1], alone, rtol=ROUGH.get(type(config), 1e-4), atol=1e-5)
    assert float(found[2]) == 0
    torch.testing.assert_close(losses(criterion, p, x, torch.ones_like(mask)), losses(criterion, p, x))


@with_masks
def test_what_a_mask_hides_has_no_effect_and_no_gradient(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 2, 3, 4), data(criterion, 2, 3, 4)
    half = x.shape[-1] // 2
    mask = torch.ones(2, *x.shape[2:], dtype=torch.bool)
    mask[..., half:] = False
    q = p.clone().requires_grad_()
    criterion.loss(q, x, mask).sum().backward()
    assert not q.grad[..., half // criterion.hop :].any() and q.grad[..., : half // criterion.hop].any()
    other_p, other_x = p.clone(), x.clone()
    other_p[..., half // criterion.hop :], other_x[..., half:] = 1e3, other_x[..., :half].flip(-1)
    assert torch.equal(losses(criterion, other_p, other_x, mask), losses(criterion, p, x, mask))


@without_masks
def test_a_mask_is_refused_where_none_is_taken(config: CriterionConfig) -> None:
    criterion = config.build()
    p, x = parameters(criterion, 2, 3, 4), data(criterion, 2, 3, 4)
    with pytest.raises(DataError, match="mask"):
        criterion.loss(p, x, torch.ones(2, *x.shape[2:], dtype=torch.bool))


@every
def test_configurations_survive_json_and_stay_with_what_they_build(config: CriterionConfig) -> None:
    assert configuration.from_json(CriterionConfig, json.loads(json.dumps(configuration.to_json(config)))) == config
    assert config.build().config == config


def test_there_are_criteria_of_every_kind() -> None:
    built = [config.build() for config in CONFIGS]
    for kind in (BinnedLikelihood, Likelihood, SoundDistance, Expecting):
        assert 0 < sum(isinstance(criterion, kind) for criterion in built) < len(built)
    assert any(isinstance(one, Likelihood) and not isinstance(one, BinnedLikelihood) for one in built)
