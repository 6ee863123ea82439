"""Measures of collapse on models whose answers are known."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from vqvae import seeding
from vqvae.data.base import Batch, Dataset
from vqvae.errors import DataError
from vqvae.evaluation.likelihood.collapse import derangement, entropies, measure_collapse


class Numbers(Dataset):
    """The numbers from 0 to below ``count``, an example each."""

    name = "numbers"

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: np.ndarray) -> Batch:
        return Batch(torch.from_numpy(indices).view(-1, 1, 1, 1))


class Codes:
    """Two codes a number, its digits to the base 16. p(x|z) is 3/4 where z is x's own, else 2^-10, or does not depend on z."""

    def __init__(self, used: bool = True) -> None:
        self.used = used

    def encode(self, batch: Batch) -> tuple[Tensor, ...]:
        x = batch.x.flatten()
        return (torch.stack([x // 16, x % 16 if self.used else torch.zeros_like(x)], dim=1)[:, :, None, None],)

    def log_likelihood(self, batch: Batch, codes: tuple[Tensor, ...]) -> Tensor:
        own = (codes[0] == self.encode(batch)[0]).flatten(1).all(1)
        return torch.where(own, math.log(0.75), -10 * math.log(2)) if self.used else torch.full((len(batch.x),), -3 * math.log(2))


class Posterior(NamedTuple):
    mean: Tensor
    log_scale: Tensor


class Gaussians:
    """Latents of 3 dimensions; the first has the mean x, the others are the prior's. log p(x|z) = −(x − z)² / 2, or −1."""

    def __init__(self, log_scale: float = -3.0, used: bool = True) -> None:
        self.log_scale, self.used = log_scale, used

    def posterior(self, batch: Batch) -> Posterior:
        mean, log_scale = torch.zeros(2, len(batch.x), 3, 1, 1)
        if self.used:
            mean[:, 0], log_scale[:, 0] = batch.x[:, 0].float(), self.log_scale
        return Posterior(mean, log_scale)

    def log_likelihood(self, batch: Batch, latents: Tensor) -> Tensor:
        error = (batch.x.flatten() - latents[:, 0, 0, 0]).square() / 2
        return -error if self.used else -torch.ones(len(batch.x))


def uniform(batch: Batch) -> Tensor:
    """log p(x) of a decoder without latents: 8 bits an example."""
    return torch.full((len(batch.x),), -8 * math.log(2))


def test_codes_that_are_used() -> None:
    scores = measure_collapse(Codes(), Numbers(256), without=uniform)
    assert scores["code_entropy"] == pytest.approx(8) and scores["mutual_information"] == pytest.approx(8)
    assert (scores["active_units"], scores["units"], scores["examples"]) == (2, 2, 256)
    assert scores["bits_given_latents"] == pytest.approx(-math.log2(0.75), rel=1e-6)
    assert scores["bits_lost_when_shuffled"] == pytest.approx(10 + math.log2(0.75), rel=1e-6)
    assert scores["bits_without_latents"] == pytest.approx(8)
    assert scores["bits_gained"] == pytest.approx(8 + math.log2(0.75), rel=1e-6)


def test_codes_that_the_decoder_ignores() -> None:
    scores = measure_collapse(Codes(used=False), Numbers(256), without=uniform)
    assert scores["bits_lost_when_shuffled"] == pytest.approx(0, abs=1e-6)
    assert scores["bits_gained"] == pytest.approx(5, rel=1e-6)
    assert scores["code_entropy"] == pytest.approx(4) and (scores["active_units"], scores["units"]) == (1, 2)


def test_codes_of_which_one_follows_from_the_other_tell_less_than_their_entropies() -> None:
    class Twice(Codes):
        def encode(self, batch: Batch) -> tuple[Tensor, ...]:
            return (batch.x.expand(-1, 2, -1, -1),)

    scores = measure_collapse(Twice(), Numbers(100))
    assert scores["code_entropy"] == pytest.approx(2 * math.log2(100)) and scores["mutual_information"] == pytest.approx(math.log2(100))
    assert "bits_gained" not in scores


@pytest.mark.parametrize("log_scale", [-3.0, 0.0])
def test_gaussians_that_are_used(log_scale: float) -> None:
    count = 200
    scores = measure_collapse(Gaussians(log_scale), Numbers(count), without=uniform)
    squares, variance = np.mean(np.arange(count) ** 2), math.exp(2 * log_scale)
    assert scores["kl_bits"] == pytest.approx((squares + variance - 1 - 2 * log_scale) / 2 / math.log(2), rel=1e-6)
    assert (scores["active_units"], scores["units"]) == (1, 3)
    # The mean of 200 squares of a normal number has a deviation of a tenth.
    assert scores["bits_given_latents"] == pytest.approx(variance / 2 / math.log(2), rel=0.3)
    assert scores["bits_gained"] == pytest.approx(8 - scores["bits_given_latents"])
    order = derangement(count, seeding.generator(0, "derangement")).numpy()
    lost = np.mean((order - np.arange(count)) ** 2) / 2 / math.log(2)
    assert scores["bits_lost_when_shuffled"] == pytest.approx(lost, rel=1e-2)
    if log_scale == -3.0:
        # Posteriors 20 deviations apart: the example follows from its latents.
        assert scores["mutual_information"] == pytest.approx(math.log2(count), rel=1e-6)
    else:
        # Posteriors of deviation 1, evenly spaced at distance 1, are close to uniform noise of that deviation.
        assert scores["mutual_information"] == pytest.approx(math.log2(count) - math.log2(math.sqrt(2 * math.pi * math.e)), abs=0.15)


def test_gaussians_that_collapsed() -> None:
    scores = measure_collapse(Gaussians(used=False), Numbers(100), without=lambda batch: -torch.ones(len(batch.x)))
    assert scores["active_units"] == 0
    for name in ("kl_bits", "mutual_information", "bits_lost_when_shuffled", "bits_gained"):
        assert scores[name] == pytest.approx(0, abs=1e-6)


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, again, other = (measure_collapse(Gaussians(0.0), Numbers(70), seed=seed) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("count", [2, 3, 65])
def test_a_derangement_leaves_nothing_in_its_place(count: int) -> None:
    for seed in range(20):
        order = derangement(count, torch.Generator().manual_seed(seed))
        assert torch.equal(order.sort().values, torch.arange(count))
        assert (order != torch.arange(count)).all()


def test_entropies_are_those_of_each_column() -> None:
    codes = torch.tensor([[0, 5, 1], [1, 5, 1], [2, 5, 0], [3, 5, 0]])
    torch.testing.assert_close(entropies(codes), torch.tensor([math.log(4), 0, math.log(2)], dtype=torch.float64))


def test_one_example_cannot_be_shuffled() -> None:
    with pytest.raises(DataError, match="numbers has 1"):
        measure_collapse(Codes(), Numbers(1))
    with pytest.raises(DataError, match="1 are used"):
        measure_collapse(Codes(), Numbers(8), count=1)


def test_some_examples_stand_for_all() -> None:
    scores = measure_collapse(Codes(), Numbers(256), without=uniform, count=64)
    assert scores["examples"] == 64 and scores["code_entropy"] == pytest.approx(6), "every fourth number"
    assert scores["bits_given_latents"] == pytest.approx(-math.log2(0.75), rel=1e-6)
    assert scores["bits_without_latents"] == pytest.approx(8)
    assert measure_collapse(Codes(), Numbers(16), count=99)["examples"] == 16
