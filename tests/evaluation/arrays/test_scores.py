"""The scores of data that is neither pictures nor sound."""

import math

import pytest
import torch

from vqvae.data.base import Batch
from vqvae.evaluation.arrays.scores import SquaredError


def test_the_error_is_that_of_float64() -> None:
    x, made = torch.randn(6, 5, 9).double() * 3 + 100, torch.randn(6, 5, 9).double() + 100
    error = SquaredError()
    for rows in (slice(0, 2), slice(2, 6)):
        error.add(Batch(x[rows].float()), made[rows].float())
    found = error.scores()
    mse = float((x.float().double() - made.float().double()).square().mean())
    assert found["rmse"] == pytest.approx(math.sqrt(mse))
    # Squares of numbers around 100 leave eleven digits.
    assert found["nmse"] == pytest.approx(mse / float(x.float().double().var(correction=0)), rel=1e-9)


def test_what_a_mask_leaves_out_counts_nowhere() -> None:
    x, made, mask = torch.randn(2, 5, 9), torch.randn(2, 5, 9), torch.arange(9).expand(2, 9) < torch.tensor([[9], [4]])
    masked, alone = SquaredError(), SquaredError()
    masked.add(Batch(x, mask=mask), made)
    alone.add(Batch(x[:1]), made[:1])
    alone.add(Batch(x[1:, :, :4]), made[1:, :, :4])
    assert masked.scores() == pytest.approx(alone.scores())


def test_nothing_and_data_that_does_not_vary_have_no_number() -> None:
    error = SquaredError()
    assert all(math.isnan(value) for value in error.scores().values())
    error.add(Batch(torch.ones(2, 1, 4)), torch.zeros(2, 1, 4))
    assert error.scores()["rmse"] == 1 and math.isnan(error.scores()["nmse"])
