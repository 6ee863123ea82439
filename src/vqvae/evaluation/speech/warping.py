"""Dynamic time warping: stretch two sequences so that they align.

The method of Sakoe & Chiba 1978, https://doi.org/10.1109/TASSP.1978.1163055. Each step advances by one in either sequence or in both. All
steps have equal weight.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int64

_BOTH, _FIRST, _SECOND = range(3)


class Warp(NamedTuple):
    """Pairs of aligned frames, from the first frames of both to the last."""

    first: Int64[np.ndarray, " length"]
    second: Int64[np.ndarray, " length"]
    """As long as ``first``. Neither sequence of indices ever decreases."""


def warp(costs: Float[np.ndarray, "first second"]) -> Warp:
    """The path of least total cost through a table with the cost of each pair. Of several such paths, the shortest.

    Each anti-diagonal depends only on the two before it, so all of its cells are computed together. The choices take n (n + m − 1)
    bytes for n × m costs.
    """
    n, m = costs.shape
    choices = np.zeros((n + m - 1, n), np.int8)
    # The least cost up to each cell of the last two anti-diagonals, indexed by row plus one. Cells beyond the edge cost infinity.
    last, before = np.full(n + 1, np.inf), np.full(n + 1, np.inf)
    before[0] = 0.0
    for diagonal in range(n + m - 1):
        low, high = max(0, diagonal - m + 1), min(n, diagonal + 1)
        rows = np.arange(low, high)
        ways = np.stack([before[low:high], last[low:high], last[low + 1 : high + 1]])
        choice = ways.argmin(0)
        choices[diagonal, low:high] = choice
        now = np.full(n + 1, np.inf)
        now[low + 1 : high + 1] = ways[choice, rows - low] + costs[rows, diagonal - rows]
        last, before = now, last
    return _path(choices, n, m)


def _path(choices: np.ndarray, n: int, m: int) -> Warp:
    """Follow the choices back from the end."""
    i, j = n - 1, m - 1
    path = [(i, j)]
    while i or j:
        choice = choices[i + j, i]
        i, j = i - (choice != _SECOND), j - (choice != _FIRST)
        path.append((i, j))
    first, second = np.array(path[::-1], np.int64).T
    return Warp(first, second)
