"""A softmax over codes."""

import pytest
import torch

from vqvae.errors import DataError
from vqvae.likelihoods import CategoricalCodesConfig


def test_the_likelihood_is_that_of_the_softmax() -> None:
    likelihood = CategoricalCodesConfig(codebook_size=5, channels=2).build()
    logits, codes = torch.randn(3, 2, 5, 4, dtype=torch.float64), torch.randint(0, 5, (3, 2, 4))
    parameters = logits.flatten(1, 2).float()
    expected = logits.log_softmax(2).gather(2, codes.unsqueeze(2)).sum((1, 2, 3))
    torch.testing.assert_close(likelihood.log_prob(parameters, codes).double(), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(likelihood.mode(parameters), logits.argmax(2)) and torch.equal(likelihood.restore(codes), codes)
    assert torch.equal(likelihood.sample(parameters, temperature=0.0), logits.argmax(2))


def test_draws_follow_the_softmax() -> None:
    likelihood = CategoricalCodesConfig(codebook_size=3).build()
    parameters = torch.tensor([0.0, 1.0, -1.0]).view(1, 3, 1).expand(1, 3, 40_000)
    drawn = likelihood.sample(parameters, torch.Generator().manual_seed(0)).flatten()
    share = torch.bincount(drawn, minlength=3) / drawn.numel()
    # Four standard deviations of 40,000 draws.
    torch.testing.assert_close(share, parameters[0, :, 0].softmax(0), rtol=0, atol=0.01)


def test_codes_that_are_none_are_refused() -> None:
    likelihood = CategoricalCodesConfig(codebook_size=5).build()
    with pytest.raises(DataError, match="5"):
        likelihood.log_prob(torch.zeros(1, 5, 3), torch.full((1, 1, 3), 5))
    with pytest.raises(DataError, match=r"expected \(1, 5, 3\)"):
        likelihood.log_prob(torch.zeros(1, 5, 4), torch.zeros(1, 1, 3, dtype=torch.int64))
