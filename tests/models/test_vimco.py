"""VIMCO beside full enumeration on a model with sixteen grids of codes."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from tests.models import toy
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError
from vqvae.models import VIMCO, VIMCOConfig
from vqvae.models.base import importance_weighted
from vqvae.models.vimco import leave_one_out


def tuples(samples: int) -> Tensor:
    """Every way to draw so many samples from sixteen grids: numbers of grids (samples, ways)."""
    return torch.tensor(list(itertools.product(range(16), repeat=samples))).T


def exact(model: VIMCO, samples: int) -> Tensor:
    """The expected bound, by summing over every way to draw the samples."""
    drawn, log_q, log_joint = tuples(samples), toy.log_posterior(model), toy.log_joint(model)
    return (log_q[drawn].sum(0).exp() * ((log_joint - log_q)[drawn].logsumexp(0) - math.log(samples))).sum()


def gradients(model: VIMCO, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


@pytest.mark.parametrize("samples", [2, 3])
@pytest.mark.parametrize("listens", [1.0, 300.0])
def test_the_gradient_is_unbiased(samples: int, listens: float) -> None:
    """Every way to draw the samples is one example of a batch, weighted by its probability."""
    model, drawn = toy.make(VIMCOConfig, samples=samples, listens=listens), tuples(samples)
    probability = toy.log_posterior(model)[drawn].sum(0).exp().detach()
    log_q, log_joint = toy.log_posterior(model)[drawn], toy.log_joint(model)[drawn]
    log_weights = (log_joint - log_q).detach()
    shares, credits = log_weights.softmax(0), leave_one_out(log_weights)
    estimates = ((credits - shares) * log_q + shares * log_joint).sum(0)
    for found, expected in zip(gradients(model, (probability * estimates).sum()), gradients(model, exact(model, samples)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("listens", [1.0, 300.0])
@pytest.mark.parametrize("decode_at_once", [256, 5])
def test_the_objective_has_that_gradient_however_it_is_decoded(listens: float, decode_at_once: int) -> None:
    model, batch = toy.make(VIMCOConfig, samples=4, listens=listens, decode_at_once=decode_at_once), toy.image(6)
    torch.manual_seed(5)
    loss = model.train()(batch).loss
    torch.manual_seed(5)
    log_probs = model.posterior.log_probs(model.latents(batch))
    codes = model.posterior.sample(log_probs, 4)
    log_q = model.posterior.log_prob(log_probs, codes)
    log_likelihood = torch.stack([model.log_likelihood(batch, (sample,)) for sample in codes])
    log_weights = log_likelihood - 2 * math.log(4) - log_q
    bound = log_weights.logsumexp(0) - math.log(4)
    score = (leave_one_out(log_weights).detach() * log_q).sum(0)
    torch.testing.assert_close(loss, -bound.mean() / 8)
    for found, expected in zip(gradients(model, loss), gradients(model, -(bound + score).mean() / 8), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("resampled", [1, 2])
@pytest.mark.parametrize("listens", [1.0, 3.0, 300.0])
def test_what_is_decoded_again_by_lot_has_the_same_gradient_on_average(listens: float, resampled: int) -> None:
    found = []
    for again in (0, resampled):
        model = toy.make(VIMCOConfig, samples=3, listens=listens, resampled=again, decode_at_once=100_000)
        torch.manual_seed(5)
        found.append(gradients(model, model.train()(toy.image(4_000)).loss))
    for whole, drawn in zip(*found, strict=True):
        assert float((whole - drawn).norm()) < 0.1 * float(whole.norm()) + 1e-6
    assert torch.isfinite(toy.make(VIMCOConfig, resampled=resampled).train()(toy.image(0)).loss)


@pytest.mark.parametrize("resampled", [0, 1])
def test_weights_that_are_not_numbers_give_a_loss_that_is_none(resampled: int) -> None:
    model = toy.make(VIMCOConfig, samples=3, resampled=resampled)
    with torch.no_grad():
        toy.last(model.decoder).bias.fill_(math.nan)
    assert torch.isnan(model.train()(toy.image(2)).loss)


@torch.no_grad()
def test_the_objective_draws_as_many_samples_as_it_says_and_is_right_on_average() -> None:
    model = toy.make(VIMCOConfig, samples=2, listens=300.0)
    torch.manual_seed(0)
    bounds = model.bound(toy.image(20_000)).nats
    error = 5 * float(bounds.std()) / 20_000**0.5
    assert float(bounds.mean()) == pytest.approx(float(exact(model, 2)), abs=error)
    assert error < 0.1


@torch.no_grad()
def test_bounds_rise_with_samples_and_stay_below_the_likelihood() -> None:
    model = toy.make(VIMCOConfig, listens=300.0)
    bounds = [float(exact(model, samples)) for samples in (1, 2, 3)]
    log_p = float(toy.log_likelihood(model))
    log_q, log_joint = toy.log_posterior(model), toy.log_joint(model)
    assert bounds[0] == pytest.approx(float((log_q.exp() * (log_joint - log_q)).sum()))
    assert bounds[0] < bounds[1] - 0.01 < bounds[2] - 0.01 < log_p - 0.02
    torch.manual_seed(0)
    many = model.importance_bound(toy.image(20), 1000).nats
    assert float(many.mean()) == pytest.approx(log_p, abs=0.1)


def test_with_a_constant_encoder_and_a_decoder_that_ignores_codes_the_bound_is_the_likelihood() -> None:
    model = toy.make(VIMCOConfig)
    with torch.no_grad():
        toy.last(model.encoder).weight.zero_()
        toy.last(model.encoder).bias.zero_()
        model.posterior.codebook.zero_()
        bound = model.bound(toy.image(5))
        torch.testing.assert_close(bound.nats, bound.log_likelihood)
        torch.testing.assert_close(bound.nats[0], toy.log_likelihood(model).float())
        # Where q is not uniform, one sample loses N (log K - H(q)) on average.
        toy.last(model.encoder).bias.copy_(torch.tensor([0.0, 1.0, 2.0, 3.0]))
        q = torch.tensor([0.0, 1.0, 2.0, 3.0]).softmax(0)
        kl = 2 * float(math.log(4) + (q * q.log()).sum())
        assert float(bound.log_likelihood[0] - exact(model, 1)) == pytest.approx(kl, rel=1e-4)


def test_leave_one_out_is_exact_for_weights_of_any_size() -> None:
    torch.manual_seed(0)
    log_weights = torch.randn(5, 7).double() * 3
    weights = log_weights.exp()
    for i in range(5):
        others = weights[[j for j in range(5) if j != i]]
        expected = weights.mean(0).log() - ((others.sum(0) + others.log().mean(0).exp()) / 5).log()
        torch.testing.assert_close(leave_one_out(log_weights)[i], expected)
        # Ten thousand nats below, in float32, whose steps are a thousandth of a nat there.
        torch.testing.assert_close(leave_one_out((log_weights - 1e4).float())[i], expected.float(), rtol=0, atol=5e-3)
    equal = leave_one_out(torch.full((5, 7), -1e4))
    assert torch.equal(equal, torch.zeros(5, 7))
    far = leave_one_out(torch.tensor([[0.0], [-1e4], [-2e4]]))
    assert torch.isfinite(far).all() and far[0] > 1000 and float(far[1:].abs().max()) < 1.2


def test_the_bound_is_taken_apart_by_the_shares_of_its_samples() -> None:
    torch.manual_seed(0)
    log_likelihood, log_ratio = torch.randn(3, 2) * 2 - 9, torch.randn(3, 2)
    bound = importance_weighted(log_likelihood, log_ratio)
    weights = (log_likelihood + log_ratio).exp()
    torch.testing.assert_close(bound.nats, weights.mean(0).log())
    torch.testing.assert_close(bound.log_likelihood, (weights / weights.sum(0) * log_likelihood).sum(0))


def test_conditions_go_with_their_examples() -> None:
    model, seen = toy.make(VIMCOConfig, samples=3, decode_at_once=4), []
    forward = model.decoder.forward

    def listening(vectors: Tensor, condition: Condition, past: Tensor | None = None) -> Tensor:
        seen.append(condition.label)
        return forward(vectors, condition, past)

    model.decoder.forward = listening
    batch = Batch(toy.image(2).x, Condition(label=torch.tensor([7, 8])))
    model.bound(batch)
    assert torch.cat(seen).tolist() == [7, 8] * 3


def test_wrong_settings_are_refused() -> None:
    for changes, words in (
        ({"samples": 1}, "at least 2"),
        ({"resampled": -1}, "resampled"),
        ({"decode_at_once": 0}, "decode_at_once"),
        ({"num_codebooks": 2}, "multiple"),
    ):
        with pytest.raises(ConfigError, match=words):
            toy.make(VIMCOConfig, **changes)
    with pytest.raises(ConfigError, match="samples"):
        toy.make(VIMCOConfig).importance_bound(toy.image(), 0)
