"""What the likelihoods of images share."""

import math

import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods.levels import check_pair, check_pixels, check_temperature, to_bins, to_pixels


def test_all_levels_survive_a_round_trip() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 256)
    assert torch.equal(to_pixels(to_bins(levels, 1).double() + 0.49), levels)
    assert torch.equal(to_pixels(to_bins(levels, 1).double() - 0.49), levels)


def test_what_lies_beyond_the_ends_becomes_the_ends() -> None:
    assert to_pixels(torch.tensor([-3.0, 300.0])).tolist() == [0, 255]


def test_floats_and_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="values from 0.5 to 0.5"):
        check_pixels(torch.full((1, 3, 2, 2), 0.5), 3)
    with pytest.raises(DataError, match=r"\(batch, 3, \*space\)"):
        check_pixels(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), 3)
    with pytest.raises(DataError, match="level 9"):
        check_pixels(torch.full((1, 1, 2), 9, dtype=torch.uint8), 1, levels=8)


def test_parameters_must_fit_their_pixels() -> None:
    with pytest.raises(DataError, match=r"expected \(2, 4, 5\)"):
        check_pair(torch.zeros(2, 4, 6), torch.zeros(2, 1, 5, dtype=torch.uint8), 4, 1)


def test_half_precision_becomes_float32_and_double_stays() -> None:
    x = torch.zeros(1, 1, 2, dtype=torch.uint8)
    for given, kept in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        assert check_pair(torch.zeros(1, 4, 2, dtype=given), x, 4, 1)[0].dtype == kept


@pytest.mark.parametrize("temperature", [-1.0, math.nan])
def test_wrong_temperatures_are_refused(temperature: float) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        check_temperature(temperature)
