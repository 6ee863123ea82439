"""Nearest-code search without the full (rows x codes) matrix of distances."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

ROWS, CODES, GROUP = 1024, 2048, 64
"""Rows and codes of one block of scores on a CPU: 8 MiB at most, which stay in cache between the product and its minimum.
The row minimum is taken in two levels, over groups of 64 codes and then inside the winning group: the values alone reduce
an order of magnitude faster than values with indices."""
ROWS_CUDA, CODES_CUDA = 2**14, 2**12
"""On a GPU a launch costs more than memory: 256 MiB of scores at a time."""


class Nearest(NamedTuple):
    """The best code of every row."""

    codes: Int[Tensor, " rows"]
    scores: Float[Tensor, " rows"]
    """The winning scores. They are not finite exactly where the row is not."""


def nearest(rows: Float[Tensor, "rows dim"], codebook: Float[Tensor, "codes dim"], costs: Float[Tensor, " codes"] | None = None) -> Nearest:
    """Find argmin_k ‖row − e_k‖² (+ cost_k) for every row, in float32 under any autocast [VQVAE eq. 1].

    ‖row‖² does not change the argmin, so it is omitted. The codebook is centred on its mean first. That leaves distances
    unchanged and keeps the digits that ‖e‖² − 2 row·e would cancel for latents far from zero. The first of equal codes wins.
    """
    with torch.no_grad(), torch.autocast(rows.device.type, enabled=False):
        rows, codebook = rows.detach().float(), codebook.detach().float()
        centre = codebook.mean(0)
        centred = codebook - centre
        bias = (centred * (centred + 2 * centre)).sum(1)
        if costs is not None:
            bias = bias + costs.detach().float()
        factor = (-2 * centred).T.contiguous()
        size = len(codebook)
        if torch.compiler.is_exporting() or torch.jit.is_tracing():  # One product for any number of rows: blocks would fix that number.
            least = torch.addmm(bias, rows, factor).min(1)
            return Nearest(least.indices, least.values)
        most_rows, most_codes = (ROWS, CODES) if rows.device.type == "cpu" else (ROWS_CUDA, CODES_CUDA)
        block_rows, block_codes = min(len(rows), most_rows), min(size, most_codes)
        codes = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
        scores = torch.empty(len(rows), dtype=torch.float32, device=rows.device)
        buffer = rows.new_empty(block_rows * block_codes)
        for low in range(0, len(rows), max(block_rows, 1)):
            # All blocks have the same rows, so that a row's sums do not depend on its place. The last one starts earlier.
            low = min(low, len(rows) - block_rows)
            part = rows[low : low + block_rows]
            best: Nearest | None = None
            for first in range(0, size, block_codes):
                last = min(first + block_codes, size)
                block = buffer[: len(part) * (last - first)].view(len(part), last - first)
                torch.addmm(bias[first:last], part, factor[:, first:last], out=block)
                found = _row_minimum(block)
                if first:
                    found = Nearest(found.codes + first, found.scores)
                # Strictly less, so that the first of equal codes stays. NaN must stay too.
                best = found if best is None else _better(best, found)
            assert best is not None  # A codebook has at least one code.
            codes[low : low + block_rows], scores[low : low + block_rows] = best
    return Nearest(codes, scores)


def _row_minimum(block: Float[Tensor, "rows codes"]) -> Nearest:
    """The minimum of every row and its first index."""
    rows, size = block.shape
    if size % GROUP or size <= GROUP:
        scores, codes = block.min(1)
        return Nearest(codes, scores)
    grouped = block.view(rows, size // GROUP, GROUP)
    group = grouped.amin(2).min(1).indices
    scores, inside = grouped[torch.arange(rows, device=block.device), group].min(1)
    return Nearest(group * GROUP + inside, scores)


def _better(old: Nearest, new: Nearest) -> Nearest:
    wins = (new.scores < old.scores) | new.scores.isnan()
    return Nearest(torch.where(wins, new.codes, old.codes), torch.where(wins, new.scores, old.scores))
