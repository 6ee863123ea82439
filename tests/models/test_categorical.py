"""The categorical posterior beside torch.distributions."""

import math

import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.models.categorical import CategoricalPosterior


def make(books: int = 2) -> CategoricalPosterior:
    torch.manual_seed(0)
    return CategoricalPosterior(codebook_size=5, num_codebooks=books, dim=6)


@pytest.mark.parametrize("space", [(), (3,), (2, 3), (2, 1, 3)])
def test_numbers_are_those_of_torch_distributions(space: tuple[int, ...]) -> None:
    posterior, latents = make(), torch.randn(4, 10, *space)
    expected = torch.distributions.Categorical(logits=latents.view(4, 2, 5, *space).movedim(2, -1))
    log_probs = posterior.log_probs(latents)
    torch.testing.assert_close(log_probs.movedim(2, -1), expected.logits)
    torch.testing.assert_close(posterior.entropy(log_probs), expected.entropy().flatten(1).sum(1))
    torch.testing.assert_close(posterior.kl(log_probs), 2 * math.prod(space) * math.log(5) - posterior.entropy(log_probs))
    codes = posterior.sample(log_probs, 3)
    assert codes.shape == (3, 4, 2, *space) and codes.dtype == torch.int64
    torch.testing.assert_close(posterior.log_prob(log_probs, codes), expected.log_prob(codes).flatten(2).sum(2))


def test_samples_follow_the_probabilities() -> None:
    posterior = make()
    log_probs = posterior.log_probs(torch.randn(1, 10, 2))
    codes = posterior.sample(log_probs, 20_000)[:, 0]
    shares = torch.nn.functional.one_hot(codes, 5).double().mean(0)
    # Five standard errors of a share of 20,000 draws.
    torch.testing.assert_close(shares, log_probs[0].exp().movedim(1, -1).double(), rtol=0, atol=5 * 0.5 / 20_000**0.5)


@pytest.mark.parametrize("space", [(), (3,), (2, 3)])
def test_vectors_stand_side_by_side_and_one_hot_mixtures_are_vectors(space: tuple[int, ...]) -> None:
    posterior = make()
    codes = torch.randint(5, (4, 2, *space))
    vectors = posterior.vectors(codes)
    assert vectors.shape == (4, 6, *space)
    for book in range(2):
        torch.testing.assert_close(vectors[:, 3 * book : 3 * book + 3].movedim(1, -1), posterior.codebook[book][codes[:, book]])
    one_hot = torch.nn.functional.one_hot(codes, 5).movedim(-1, 2).float()
    torch.testing.assert_close(posterior.mix(one_hot), vectors)


def test_wrong_sizes_and_codes_are_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of num_codebooks"):
        make(books=4)
    with pytest.raises(ConfigError, match="codebook_size"):
        CategoricalPosterior(codebook_size=0, num_codebooks=1, dim=1)
    with pytest.raises(DataError, match="0 to 4"):
        make().vectors(torch.full((1, 2, 3), 5))
    with pytest.raises(DataError, match="NaN"):
        make().log_probs(torch.full((1, 10, 3), math.nan))


def test_float32_of_bfloat16_latents_and_nothing_of_no_examples() -> None:
    posterior = make()
    assert posterior.log_probs(torch.randn(2, 10, 3).bfloat16()).dtype == torch.float32
    log_probs = posterior.log_probs(torch.randn(0, 10, 3))
    assert posterior.sample(log_probs, 4).shape == (4, 0, 2, 3)
    assert posterior.kl(log_probs).shape == (0,)
