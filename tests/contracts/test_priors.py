"""What every prior of the Union must do."""

import itertools
import typing

import pytest
import torch

from vqvae.data.base import Batch
from vqvae.errors import DataError
from vqvae.priors import Prior, PriorConfig, UnigramPriorConfig

every = pytest.mark.parametrize("kind", typing.get_args(PriorConfig))


def make(kind: type, size: int = 3, books: int = 2) -> Prior:
    prior = kind(codebook_size=size, num_codebooks=books).build()
    if kind is UnigramPriorConfig:
        prior.count(torch.randint(size, (5, books, 4), generator=torch.Generator().manual_seed(0)))
    return prior


@every
def test_probabilities_sum_to_one(kind: type) -> None:
    codes = torch.tensor(list(itertools.product(range(3), repeat=4))).reshape(-1, 2, 2)
    total = make(kind).log_prob(codes).double().exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0, dtype=torch.float64), rtol=1e-5, atol=0)


@every
def test_a_mask_leaves_positions_out(kind: type) -> None:
    prior = make(kind)
    codes = torch.randint(3, (2, 2, 5), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(5) < 3
    torch.testing.assert_close(prior.log_prob(codes, mask=mask.expand(2, 5)), prior.log_prob(codes[..., :3]))


@every
def test_the_objective_is_nats_a_code(kind: type) -> None:
    prior = make(kind)
    codes = torch.randint(3, (2, 2, 5, 4), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(prior(Batch(codes)).loss, -prior.log_prob(codes).sum() / codes.numel())


@every
def test_wrong_codes_are_errors(kind: type) -> None:
    prior = make(kind)
    with pytest.raises(DataError, match="0 to 2"):
        prior.log_prob(torch.full((1, 2, 4), 3))
    with pytest.raises(DataError, match=r"\(batch, 2, \*space\)"):
        prior.log_prob(torch.zeros(1, 3, 4, dtype=torch.int64))


def test_unigram_probabilities_are_smoothed_frequencies() -> None:
    prior = UnigramPriorConfig(codebook_size=4).build()
    prior.count(torch.tensor([[[0, 0, 0, 1]]]))
    log_p = prior.log_prob(torch.tensor([[[0]], [[1]], [[2]]]))
    torch.testing.assert_close(log_p.exp(), torch.tensor([4 / 8, 2 / 8, 1 / 8]))
