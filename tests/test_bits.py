"""Nats to bits."""

import math

import pytest
import torch

from vqvae.bits import bits, bits_per_code, bits_per_dim


def test_a_uniform_distribution_takes_the_logarithm_of_its_size() -> None:
    assert bits(math.log(256)) == pytest.approx(8)
    assert bits_per_dim(48 * math.log(256), 48) == pytest.approx(8)
    assert bits_per_code(20 * math.log(512), 20) == pytest.approx(9)


def test_tensors_are_turned_entry_by_entry() -> None:
    nats = torch.tensor([0.0, 3 * math.log(2), 6 * math.log(2)])
    torch.testing.assert_close(bits_per_dim(nats, 3), torch.tensor([0.0, 1.0, 2.0]))
