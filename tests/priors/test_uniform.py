"""All codes alike: what training of a VQ-VAE assumes."""

import math

import pytest
import torch

from vqvae.data.base import Batch
from vqvae.errors import ConfigError
from vqvae.priors import UniformPriorConfig


@pytest.mark.parametrize("space", [(5,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("books", [1, 3])
def test_every_code_costs_log_k_whatever_it_is(space: tuple[int, ...], books: int) -> None:
    prior = UniformPriorConfig(codebook_size=7, num_codebooks=books).build()
    codes = torch.randint(7, (2, books, *space), generator=torch.Generator().manual_seed(0))
    nats = books * math.prod(space) * math.log(7)
    torch.testing.assert_close(prior.log_prob(codes), torch.full((2,), -nats))
    assert torch.equal(prior.log_prob(codes), prior.log_prob(torch.zeros_like(codes)))


def test_the_objective_is_log_k_and_there_is_nothing_to_train() -> None:
    prior = UniformPriorConfig(codebook_size=7).build()
    objective = prior(Batch(torch.zeros(2, 1, 3, 3, dtype=torch.int64)))
    assert float(objective.loss) == pytest.approx(math.log(7)) and not list(prior.parameters())
    mask = torch.zeros(2, 3, 3, dtype=torch.bool)
    mask[0, 0, :2] = True
    torch.testing.assert_close(prior.log_prob(torch.zeros(2, 1, 3, 3, dtype=torch.int64), mask=mask), torch.tensor([-2 * math.log(7), 0.0]))


@pytest.mark.parametrize("sizes", [{"num_codebooks": 0}, {"num_codebooks": -1}, {"codebook_size": 0}, {"codebook_size": 2**31 + 1}])
def test_sizes_without_meaning_are_errors(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=rf"UniformPriorConfig\.{next(iter(sizes))}"):
        UniformPriorConfig(**{"codebook_size": 4, **sizes}).build()
