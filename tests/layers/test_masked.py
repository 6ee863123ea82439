"""Causal shifts and convolutions."""

import pytest
import torch
from torch import Tensor

from vqvae.layers.masked import ColumnsLeft, RowsAbove, shift_down, shift_right

H, W = 6, 7


def reached(function: torch.nn.Module, row: int, column: int) -> Tensor:
    """The positions (H, W) that an output depends on, by its gradient."""
    x = torch.randn(1, H, W, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(x)[0, row, column].sum(), x)
    return gradient[0].abs().sum(-1) > 0


@pytest.mark.parametrize("kernel", [3, 5])
def test_rows_above_sees_its_own_row_and_those_above(kernel: int) -> None:
    torch.manual_seed(0)
    reach, seen = kernel // 2, torch.zeros(H, W, dtype=torch.bool)
    seen[4 - reach : 5, 3 - reach : 4 + reach] = True
    assert torch.equal(reached(RowsAbove(2, 3, kernel), 4, 3), seen)


@pytest.mark.parametrize("kernel", [3, 5])
def test_columns_left_sees_its_own_column_and_those_to_the_left(kernel: int) -> None:
    torch.manual_seed(0)
    reach, seen = kernel // 2, torch.zeros(H, W, dtype=torch.bool)
    seen[4, 3 - reach : 4] = True
    assert torch.equal(reached(ColumnsLeft(2, 3, kernel), 4, 3), seen)


def test_shapes_stay_on_maps_smaller_than_the_kernel() -> None:
    for layer in (RowsAbove(2, 3, 5), ColumnsLeft(2, 3, 5)):
        assert layer(torch.randn(2, 1, 2, 2)).shape == (2, 1, 2, 3)


def test_shifts_move_by_one_and_fill_with_zero() -> None:
    x = torch.arange(1.0, 7).view(1, 2, 3, 1)
    assert shift_down(x)[0, :, :, 0].tolist() == [[0, 0, 0], [1, 2, 3]]
    assert shift_right(x)[0, :, :, 0].tolist() == [[0, 1, 2], [0, 4, 5]]
