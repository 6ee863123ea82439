"""The Gumbel-softmax VAE beside full enumeration, and its temperature."""

import math

import pytest
import torch

from tests.models import toy
from vqvae.errors import ConfigError
from vqvae.models import GumbelSoftmaxConfig


@torch.no_grad()
def test_the_bound_is_right_on_average_and_below_the_likelihood() -> None:
    model = toy.make(GumbelSoftmaxConfig, listens=300.0)
    log_q, log_joint = toy.log_posterior(model), toy.log_joint(model)
    exact = float((log_q.exp() * (log_joint - log_q)).sum())
    torch.manual_seed(0)
    bounds = model.bound(toy.image(20_000)).nats
    error = 5 * float(bounds.std()) / 20_000**0.5
    assert float(bounds.mean()) == pytest.approx(exact, abs=error)
    assert exact + error < float(toy.log_likelihood(model))


def test_a_given_prior_is_asked_about_the_codes_that_were_drawn() -> None:
    model = toy.make(GumbelSoftmaxConfig, listens=300.0)
    prior = torch.randn(16, generator=torch.Generator().manual_seed(0)).log_softmax(0)
    with torch.no_grad():
        log_q, log_likelihood = toy.log_posterior(model), toy.log_joint(model) + 2 * math.log(4)
        exact = float((log_q.exp() * (log_likelihood + prior - log_q)).sum())
        torch.manual_seed(0)
        bounds = model.bound(toy.image(20_000), lambda codes, condition, mask: prior[codes[:, 0, 0, 0] * 4 + codes[:, 0, 0, 1]]).nats
    assert float(bounds.mean()) == pytest.approx(exact, abs=5 * float(bounds.std()) / 20_000**0.5)


def test_with_a_constant_encoder_the_latents_cost_their_entropy_less_than_log_k() -> None:
    model = toy.make(GumbelSoftmaxConfig)
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    with torch.no_grad():
        toy.last(model.encoder).weight.zero_()
        toy.last(model.encoder).bias.copy_(logits)
        bound = model.bound(toy.image(3))
    entropy = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(bound.log_likelihood - bound.nats, (2 * (math.log(4) - entropy)).expand(3), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("straight_through", [False, True])
def test_training_mixes_codes_and_evaluation_draws_them(straight_through: bool) -> None:
    model = toy.make(GumbelSoftmaxConfig, straight_through=straight_through, start_temperature=2.0)
    seen = []
    model.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach()))
    model.train()(toy.image(4))
    model.eval()(toy.image(4))
    codebook = model.posterior.codebook.detach()[0]
    # How far the vectors of each place are from the nearest code's.
    mixed, drawn = (torch.cdist(vectors.movedim(1, -1).reshape(-1, 3), codebook).amin(1) for vectors in seen)
    assert (float(mixed.max()) < 1e-6) == straight_through
    assert float(drawn.max()) < 1e-6


def test_mixtures_follow_the_distribution_of_codes_as_the_temperature_falls() -> None:
    model = toy.make(GumbelSoftmaxConfig, start_temperature=0.01, end_temperature=0.01)
    with torch.no_grad():
        log_probs = model.posterior.log_probs(model.latents(toy.image())).expand(20_000, -1, -1, -1, -1)
        model.posterior.codebook = torch.nn.Parameter(torch.eye(4)[None])
        torch.manual_seed(0)
        found = model._relaxed(log_probs).mean(0)
    # Five standard errors of a share of 20,000 draws.
    torch.testing.assert_close(found, log_probs[0].exp()[0], rtol=0, atol=5 * 0.5 / 20_000**0.5)


def test_the_straight_through_gradient_is_that_of_the_mixture() -> None:
    soft, hard = (toy.make(GumbelSoftmaxConfig, straight_through=flag) for flag in (False, True))
    log_probs = soft.posterior.log_probs(soft.latents(toy.image())).detach().requires_grad_()
    direction = torch.randn(1, 3, 1, 2, generator=torch.Generator().manual_seed(0))
    found = []
    for model in (soft, hard):
        torch.manual_seed(4)
        found.append(torch.autograd.grad((model._relaxed(log_probs) * direction).sum(), log_probs)[0])
    torch.testing.assert_close(*found)


def test_the_temperature_falls_by_equal_factors_with_the_training_batches_that_are_counted() -> None:
    model = toy.make(GumbelSoftmaxConfig, start_temperature=1.0, end_temperature=0.25, anneal_steps=4)
    seen = [float(model.train()(toy.image()).metrics["temperature"]) for _ in range(6)]
    assert seen == pytest.approx([1, 0.25**0.25, 0.5, 0.25**0.75, 0.25, 0.25])
    with torch.no_grad():
        model(toy.image())
    model.eval()(toy.image())
    assert int(model.steps) == 6
    other = toy.make(GumbelSoftmaxConfig, start_temperature=1.0, end_temperature=0.25, anneal_steps=4)
    other.load_state_dict(model.state_dict())
    assert float(other.temperature) == pytest.approx(0.25)
    assert float(toy.make(GumbelSoftmaxConfig, end_temperature=0.5, anneal_steps=0).temperature) == 0.5


def test_wrong_settings_are_refused() -> None:
    for changes in ({"end_temperature": 0.0}, {"end_temperature": 2.0}, {"anneal_steps": -1}):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            toy.make(GumbelSoftmaxConfig, **changes)
