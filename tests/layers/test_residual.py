"""Residual blocks."""

import pytest
import torch
from torch.nn import functional as F

from vqvae.layers.residual import ResidualBlock, ResidualBlock1d, ResidualBlock2d


def test_the_block_adds_relu_3x3_relu_1x1_to_its_input() -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock2d(6, 4), torch.randn(2, 6, 5, 7)
    hidden = F.conv2d(x.clamp(min=0), block.wide.weight, block.wide.bias, padding=1)
    expected = x + F.conv2d(hidden.clamp(min=0), block.narrow.weight, block.narrow.bias)
    torch.testing.assert_close(block(x), expected)


def test_the_input_is_not_written_to() -> None:
    x = torch.randn(1, 3, 4, 4)
    before = x.clone()
    ResidualBlock2d(3, 2)(x)
    assert torch.equal(x, before)


def test_over_time_it_keeps_what_is_in_the_middle() -> None:
    torch.manual_seed(0)
    block = ResidualBlock1d(4, 6)
    x = torch.randn(2, 4, 9)
    expected = x + F.conv1d(
        F.conv1d(x.relu(), block.wide.weight, block.wide.bias, padding=1).relu(), block.narrow.weight, block.narrow.bias
    )
    torch.testing.assert_close(block(x), expected[..., 1:-1])


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_the_block_over_any_axes_keeps_the_shape_and_adds_to_its_input(axes: int) -> None:
    block, x = ResidualBlock(axes, 3, 4), torch.randn(2, 3, *[5] * axes)
    torch.nn.init.zeros_(block.narrow.weight)
    torch.nn.init.zeros_(block.narrow.bias)
    assert torch.equal(block(x), x)
