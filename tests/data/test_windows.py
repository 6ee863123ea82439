"""Windows of one long recording."""

import numpy as np
import pytest

from vqvae.data.windows import cut, default_window, windows
from vqvae.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("length", "axes", "expected"), [(10**6, 1, 1024), (10**6, 2, 128), (5_000, 1, 64), (100, 1, 8), (9, 1, 8), (10**6, 3, 16)]
)
def test_the_default_gives_enough_windows(length: int, axes: int, expected: int) -> None:
    assert default_window(length, axes) == expected


def test_windows_are_views_at_every_hop() -> None:
    x = np.arange(2 * 3 * 20).reshape(1, 2, 3, 20)
    found = windows(x, 3, 6, 4)
    assert found.shape == (4, 2, 3, 6) and np.shares_memory(found, x)
    assert all(np.array_equal(found[n], x[0, :, :, 4 * n : 4 * n + 6]) for n in range(4))
    first = windows(x, 2, 2, 1)
    assert first.shape == (2, 2, 2, 20) and np.array_equal(first[1], x[0, :, 1:3])


@pytest.mark.parametrize(("length", "window"), [(1_000, None), (1_000, 50), (1_000, 500), (20_000, None)])
def test_no_value_is_on_both_sides(length: int, window: int | None) -> None:
    train, held_out = cut(np.arange(length)[None, None], 2, window, "x")
    assert train.max() < held_out.min() and len(train) and len(held_out)
    assert np.unique(held_out).size == held_out.size, "held-out windows do not overlap"
    size = window or default_window(length)
    assert held_out.size >= 0.05 * length - size and held_out.max() >= length - size


def test_too_short_and_too_small_are_explained() -> None:
    with pytest.raises(DataError, match="at least 1,200"):
        cut(np.zeros((1, 1, 1_000)), 2, 600, "x")
    with pytest.raises(ConfigError, match="data.window is 1"):
        cut(np.zeros((1, 1, 1_000)), 2, 1, "x")
