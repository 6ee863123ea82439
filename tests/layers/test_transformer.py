"""Causal attention, rotary positions and the cache of decoding."""

import pytest
import torch
from torch.nn import functional as F

from vqvae.layers.transformer import Cache, Rotation, Transformer, causal_attention


@pytest.mark.parametrize("length", [1, 3, 4, 9])
@pytest.mark.parametrize("window", [0, 1, 3, 4, 20])
def test_attention_within_a_window_is_that_of_a_mask(length: int, window: int) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 2, length, 4, dtype=torch.float64)
    near = torch.arange(length)[:, None] - torch.arange(length)
    seen = (near >= 0) & (near < (window or length))
    torch.testing.assert_close(causal_attention(q, k, v, window), F.scaled_dot_product_attention(q, k, v, attn_mask=seen))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_products_of_rotated_vectors_depend_on_distances_alone(axes: int) -> None:
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 12, dtype=torch.float64)

    def product(here: list[int], there: list[int]) -> torch.Tensor:
        at = [Rotation.at(torch.tensor([[place]]), 6, torch.float64) for place in (here, there)]
        return (at[0].turn(query) * at[1].turn(key)).sum()

    here, there = [5, 3, 7][:axes], [2, 4, 1][:axes]
    torch.testing.assert_close(product(here, there), product([i + 9 for i in here], [i + 9 for i in there]))
    for axis in range(axes):
        other = list(there)
        other[axis] += 1
        assert not torch.isclose(product(here, there), product(here, other)), "every axis counts"


def test_a_cache_keeps_the_last_positions() -> None:
    cache, keys = Cache(1, 1, 3, torch.zeros(2)), torch.arange(7.0).view(1, 1, 7, 1).expand(-1, -1, -1, 2)
    cache.put(keys[:, :, :5], -keys[:, :, :5])
    cache.put(keys[:, :, 5:6], -keys[:, :, 5:6])
    held, values = cache.held()
    assert sorted(held[0, 0, :, 0].tolist()) == [3, 4, 5] and torch.equal(values, -held)


def test_positions_one_by_one_are_all_at_once() -> None:
    torch.manual_seed(0)
    net, x = Transformer(12, 2, 2).double(), torch.randn(2, 7, 12, dtype=torch.float64)
    places = torch.arange(7).view(1, 7, 1)
    caches = net.caches(2, 3)
    found = [net(x[:, :4], places[:, :4], 3, caches), *(net(x[:, i : i + 1], places[:, i : i + 1], 3, caches) for i in range(4, 7))]
    torch.testing.assert_close(torch.cat(found, 1), net(x, places, 3))


def test_the_variance_of_the_inputs_is_kept() -> None:
    torch.manual_seed(0)
    features = Transformer(64, 4, 4)(torch.randn(4, 16, 64), torch.arange(16).view(1, 16, 1))
    assert 0.9 < features.std().item() < 1.1
