"""The VAE beside numerical integration over its one latent."""

import math

import pytest
import torch
from torch import Tensor

from tests.models import toy
from vqvae.errors import ConfigError, DataError
from vqvae.models import VAE, VAEConfig
from vqvae.models.vae import _kl


def log_likelihood(model: VAE) -> float:
    """log ∫ p(x|z) p(z) dz of the image with a single latent, by the trapezoidal rule."""
    z = torch.linspace(-10, 10, 8001)
    with torch.no_grad():
        log_p = model.log_likelihood(toy.image(len(z), width=2), z.view(-1, 1, 1, 1)).double()
    log_p = log_p - 0.5 * z.double().square() - 0.5 * math.log(2 * math.pi)
    return float(log_p.logsumexp(0) + math.log(z[1] - z[0]))


def on_average(nats: Tensor) -> tuple[float, float]:
    """Mean and five standard errors of it."""
    return float(nats.mean()), 5 * float(nats.std()) / len(nats) ** 0.5


@torch.no_grad()
def test_bounds_rise_with_samples_to_the_likelihood() -> None:
    model, batch = toy.make(VAEConfig, listens=20.0), toy.image(4000, width=2)
    exact = log_likelihood(model)
    torch.manual_seed(0)
    elbo, error = on_average(model.bound(batch).nats)
    one, one_error = on_average(model.importance_bound(batch, 1).nats)
    assert one == pytest.approx(elbo, abs=error + one_error), "one sample is the evidence lower bound, its KL by sampling"
    few, few_error = on_average(model.importance_bound(batch, 4).nats)
    many, many_error = on_average(model.importance_bound(toy.image(500, width=2), 256).nats)
    assert elbo + error < few - few_error < few + few_error < many - many_error
    assert many - many_error < exact, "a bound"
    assert many == pytest.approx(exact, abs=0.05 * (exact - elbo) + many_error), "and a tight one"


def test_the_kl_term_is_that_of_torch_distributions() -> None:
    posterior = toy.make(VAEConfig).posterior(toy.image(3))
    normal = torch.distributions.Normal(posterior.mean, posterior.log_scale.exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0))
    torch.testing.assert_close(_kl(posterior), expected.flatten(2).sum(2))


@torch.no_grad()
def test_with_a_constant_encoder_the_latents_cost_their_closed_form() -> None:
    model = toy.make(VAEConfig)
    toy.last(model.encoder).weight.zero_()
    toy.last(model.encoder).bias.copy_(torch.tensor([0.5, -1.0]))
    bound = model.bound(toy.image(3))
    each = 0.5 * (0.25 + math.exp(-2) - 1) + 1
    torch.testing.assert_close(bound.log_likelihood - bound.nats, torch.full((3,), 2 * each), rtol=1e-5, atol=1e-5)
    toy.last(model.encoder).bias.zero_()
    bound = model.bound(toy.image(3))
    assert torch.equal(bound.log_likelihood, bound.nats), "the prior itself costs nothing"


def test_free_bits_take_the_gradient_from_channels_that_cost_less_but_stay_out_of_the_metrics() -> None:
    plain, free = (toy.make(VAEConfig, free_bits=nats) for nats in (0.0, 5.0))
    objectives = []
    for model in (plain, free):
        torch.manual_seed(0)
        objectives.append(model(toy.image(3)))
    assert float(_kl(plain.posterior(toy.image())).detach().max()) < 5
    kl = objectives[0].metrics["kl_nats_per_dim"]
    torch.testing.assert_close(objectives[1].loss.detach(), objectives[0].loss.detach() - kl + 5 / 8)
    assert objectives[0].metrics == objectives[1].metrics
    bias = toy.last(free.encoder).bias
    found = []
    for model, objective in zip((plain, free), objectives, strict=True):
        torch.manual_seed(0)
        reconstruction = -model.bound(toy.image(3)).log_likelihood.mean() / 8
        found.append(torch.autograd.grad(objective.loss, toy.last(model.encoder).bias)[0])
        alone = torch.autograd.grad(reconstruction, toy.last(model.encoder).bias)[0]
    torch.testing.assert_close(found[1], alone, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(found[0], found[1], rtol=1e-3) and bias.shape == (2,)


def test_the_scale_is_held_where_it_stays_finite() -> None:
    model = toy.make(VAEConfig)
    with torch.no_grad():
        toy.last(model.encoder).bias.fill_(1e30)
    assert float(model.posterior(toy.image()).log_scale.detach().max()) == 7


def test_latents_decode_to_data() -> None:
    model, batch = toy.make(VAEConfig), toy.image(3)
    mean = model.posterior(batch).mean
    assert mean.shape == (3, 1, 1, 2)
    decoded = model.decode(mean, size=(2, 3))
    assert decoded.shape == (3, 1, 2, 3) and decoded.dtype == torch.uint8
    assert model.log_likelihood(batch, mean).shape == (3,)


def test_what_makes_no_sense_is_refused() -> None:
    model = toy.make(VAEConfig)
    with pytest.raises(ConfigError, match="no codes, so it takes no prior"):
        model.bound(toy.image(), lambda codes, condition, mask: torch.zeros(1))
    with pytest.raises(ConfigError, match="samples"):
        model.importance_bound(toy.image(), 0)
    with pytest.raises(ConfigError, match="free_bits"):
        toy.make(VAEConfig, free_bits=-1.0)


def test_latents_that_do_not_fit_are_refused() -> None:
    model = toy.make(VAEConfig)
    fits = model.latents(toy.image(2)).chunk(2, 1)[0]
    assert model.log_likelihood(toy.image(2), fits).shape == (2,)
    for wrong in (fits.to(torch.int8), fits[0], torch.cat([fits, fits], 1), fits[..., :0]):
        with pytest.raises(DataError, match="Latents (have|are)"):
            model.decode(wrong)
    with pytest.raises(DataError, match=r"data of the shape \(3, 1, 2, 4\) has \(3, 1, 2\)"):
        model.log_likelihood(toy.image(3), fits)
