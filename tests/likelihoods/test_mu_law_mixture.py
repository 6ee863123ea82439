"""A mixture of logistics over mu-law bins: beside scipy, its logits, its masks."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from vqvae.errors import ConfigError
from vqvae.likelihoods import MuLawMixture, MuLawMixtureConfig


def make(levels: int = 256, mixtures: int = 3) -> MuLawMixture:
    return MuLawMixtureConfig(levels=levels, mixtures=mixtures).build()


def parameters(likelihood: MuLawMixture, *shape: int) -> torch.Tensor:
    return torch.randn(shape[0], likelihood.num_parameters, *shape[1:], generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("levels", [5, 256])
def test_a_bin_has_the_mass_of_the_mixture_within_half_a_bin(levels: int) -> None:
    likelihood = make(levels)
    p = parameters(likelihood, 4)
    logits, means, log_scales = (part.double().numpy()[:, :, None] for part in p.chunk(3, 1))
    edges = (np.arange(levels + 1) - levels / 2) * (2 / (levels - 1))
    edges[0], edges[-1] = -np.inf, np.inf
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = (share * np.diff(expit((edges - means) / np.exp(log_scales)), axis=2)).sum(1)
    # Half the float32 digits of numbers down to 1e-4: masses are differences, in the formula here.
    np.testing.assert_allclose(likelihood.logits(p).exp().double().numpy(), expected, rtol=1e-4, atol=1e-7)


def test_the_probability_of_a_wave_is_that_of_its_bins() -> None:
    likelihood = make(32)
    p, bins = parameters(likelihood, 2, 5), torch.randint(32, (2, 1, 5), generator=torch.Generator().manual_seed(1))
    rows = likelihood.logits(p.movedim(1, -1).flatten(0, 1)).view(2, 5, 32)
    each = rows.gather(2, bins.movedim(1, -1))[..., 0]
    torch.testing.assert_close(likelihood.log_prob(p, likelihood.restore(bins)), each.sum(1))
    mask = torch.tensor([[True, True, True, False, False], [False, False, False, False, False]])
    torch.testing.assert_close(likelihood.log_prob(p, likelihood.restore(bins), mask), (each * mask).sum(1))


def test_masked_samples_have_no_gradient() -> None:
    likelihood = make()
    p, mask = parameters(likelihood, 1, 4).requires_grad_(), torch.tensor([[True, False, True, False]])
    likelihood.log_prob(p, torch.zeros(1, 1, 4), mask).sum().backward()
    assert torch.equal(p.grad.abs().sum(1) > 0, mask)


def test_samples_are_of_the_probabilities() -> None:
    likelihood = make(8)
    p = parameters(likelihood, 1).unsqueeze(2)
    drawn = likelihood.discretise(likelihood.sample(p.expand(-1, -1, 20_000), torch.Generator().manual_seed(0)))
    shares = torch.bincount(drawn.flatten(), minlength=8) / 20_000
    # Four standard errors of a share of a half.
    assert (shares - likelihood.logits(p[..., 0]).exp()[0]).abs().max() < 0.015
    assert likelihood.discretise(likelihood.mode(p)).item() == int(likelihood.logits(p[..., 0]).argmax())


def test_numbers_out_of_range_are_errors() -> None:
    with pytest.raises(ConfigError, match="mixtures"):
        make(mixtures=0)
    with pytest.raises(ConfigError, match="levels"):
        make(levels=1)
