"""Jitter: how often each neighbour is taken, ends, gradients, masks."""

import pytest
import torch

from vqvae.layers.jitter import jitter


def test_each_neighbour_is_taken_with_half_the_probability() -> None:
    torch.manual_seed(0)
    here = torch.arange(1000.0)
    taken = jitter(here.expand(40, 1, 1000), 0.12)[:, 0, 1:-1] - here[1:-1]
    left, stay, right = (float((taken == step).float().mean()) for step in (-1, 0, 1))
    # Five standard errors of a share of 0.06 among 40,000.
    assert abs(left - 0.06) < 0.006 and abs(right - 0.06) < 0.006
    assert left + stay + right == pytest.approx(1)


def test_ends_stay_or_take_their_one_neighbour() -> None:
    torch.manual_seed(0)
    moved = jitter(torch.arange(4.0).expand(2000, 1, 4), 1.0)[:, 0]
    assert set(moved[:, 0].tolist()) == {0, 1} and set(moved[:, 3].tolist()) == {2, 3}
    assert set(moved[:, 1].tolist()) == {0, 2}, "in the middle, all are replaced at the probability 1"
    assert jitter(torch.ones(2, 3, 1), 1.0).eq(1).all() and jitter(torch.ones(2, 3, 0), 1.0).shape == (2, 3, 0)


def test_whole_vectors_are_taken_and_their_gradient_arrives() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(3, 5, 4, 6, requires_grad=True)
    moved = jitter(vectors, 0.8)
    options = torch.stack([vectors.roll(step, 3) for step in (-1, 0, 1)])
    assert (options == moved).all(2).any(0).all(), "all channels of a position come from one position"
    assert not torch.equal(moved, vectors)
    moved.sum().backward()
    assert float(vectors.grad.sum()) == vectors.numel()
    assert set(vectors.grad.unique().tolist()) <= {0, 1, 2, 3}


def test_masked_neighbours_are_not_taken() -> None:
    torch.manual_seed(0)
    mask = torch.arange(8) < 5
    moved = jitter(torch.arange(8.0).expand(500, 1, 8), 1.0, mask.expand(500, 8))[:, 0]
    assert float(moved[:, :5].max()) == 4 and set(moved[:, 4].tolist()) == {3, 4}
