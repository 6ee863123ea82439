"""What criteria share."""

import math

import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods.levels import (
    check_agreement,
    check_levels,
    check_mask,
    check_pair,
    check_parameters,
    check_temperature,
    refuse_mask,
    sum_where,
    to_bins,
    to_levels,
    to_raw,
)


@pytest.mark.parametrize("levels", [2, 16, 256, 65_536])
def test_all_levels_survive_a_round_trip(levels: int) -> None:
    x = to_raw(torch.arange(levels).view(1, 1, -1), levels)
    assert x.dtype == (torch.uint8 if levels <= 256 else torch.int32)
    assert torch.equal(to_raw(to_bins(x, 1, levels), levels), x)
    middle = (levels - 1) / 2
    for off in (-0.49, 0.0, 0.49):
        assert torch.equal(to_levels((to_bins(x, 1, levels).double() + off - middle) / middle, levels), x)


def test_what_lies_beyond_the_ends_becomes_the_ends() -> None:
    assert to_levels(torch.tensor([-3.0, 300.0]), 256).tolist() == [0, 255]
    assert to_levels(torch.tensor([-3.0, 300.0]), 65_536).tolist() == [0, 65_535]


def test_floats_and_other_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="values from 0.5 to 0.5"):
        check_levels(torch.full((1, 3, 2, 2), 0.5), 3)
    with pytest.raises(DataError, match=r"expected \(batch, 3, axis 0, axis 1\)"):
        check_levels(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), 3)
    with pytest.raises(DataError, match="values from 9 to 9; expected torch.uint8 with levels from 0 to 7"):
        check_levels(torch.full((1, 1, 2), 9, dtype=torch.uint8), 1, levels=8)


def test_parameters_and_masks_must_fit_their_data() -> None:
    x = torch.zeros(2, 1, 5, dtype=torch.uint8)
    with pytest.raises(DataError, match=r"expected \(2, 4, 5\)"):
        check_pair(torch.zeros(2, 4, 6), x, 4, 1, 256)
    with pytest.raises(DataError, match=r"expected floats of the shape \(batch, 4, \*space\)"):
        check_pair(torch.zeros(2, 3, 5), x, 4, 1, 256)
    for parameters in (torch.zeros(2, 4, 6), torch.zeros(1, 4, 5), torch.zeros(2, 4, 5, 1)):
        with pytest.raises(DataError, match=r"data the shape \(2, 1, 5\); expected \(2, 4, 5\)"):
            check_agreement(parameters, x)
    for mask in (torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 5), torch.ones(2, 1, 5, dtype=torch.bool)):
        for check in (lambda given: check_mask(given, x), lambda given: check_agreement(torch.zeros(2, 4, 5), x, given)):
            with pytest.raises(DataError, match=r"The mask is .*; expected torch.bool \(2, 5\), True where there is data"):
                check(mask)
    check_mask(None, x)
    check_mask(torch.ones(2, 5, dtype=torch.bool), x)
    refuse_mask(None)
    with pytest.raises(DataError, match="does not accept a mask"):
        refuse_mask(torch.ones(2, 5, dtype=torch.bool))


def test_what_a_mask_hides_is_left_out_of_a_sum_whatever_it_is() -> None:
    each = torch.tensor([[[1.0, math.nan], [3.0, math.inf]], [[1.0, 2.0], [3.0, 4.0]]])
    mask = torch.tensor([[True, False], [True, True]])
    assert sum_where(each, mask).tolist() == [4, 10] and float(sum_where(each, None)[1]) == 10


def test_half_precision_becomes_float32_and_double_stays() -> None:
    x = torch.zeros(1, 1, 2, dtype=torch.uint8)
    for given, kept in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        assert check_pair(torch.zeros(1, 4, 2, dtype=given), x, 4, 1, 256)[0].dtype == kept
        assert check_parameters(torch.zeros(1, 4, 2, dtype=given), 4).dtype == kept


@pytest.mark.parametrize("temperature", [-1.0, math.nan])
def test_wrong_temperatures_are_refused(temperature: float) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        check_temperature(temperature)
