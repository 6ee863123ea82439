"""The paired bootstrap: whether one model costs fewer bits than another on the same data [Efron 1979]."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vqvae import seeding
from vqvae.errors import DataError
from vqvae.exact import exact

RESAMPLES = 2_000
_TAIL = 0.025


class Difference(NamedTuple):
    """A mean difference with its 95 % interval."""

    mean: float
    low: float
    high: float


def compare(
    first: Sequence[Float[Tensor, " _"]], second: Sequence[Float[Tensor, " _"]], *, seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """The mean of ``first - second`` over all frames, and the interval with the middle 95 % of the means of resampled episodes.

    Whole episodes are resampled, because neighbouring frames are not independent.

    Args:
        first: the score of each frame, one tensor per episode.
        second: the scores of the same frames by another model.
        seed: seed of the resamples.
        resamples: number of resamples.

    Raises:
        DataError: if the frames differ, or there are none.
    """
    lengths = [len(one) for one in first]
    if lengths != [len(one) for one in second] or not sum(lengths):
        raise DataError(
            f"One side has {sum(lengths)} frames in {len(first)} episodes, the other {sum(map(len, second))} in {len(second)}; a paired "
            "comparison needs the same frames, at least one."
        )
    sums = torch.stack([(exact(a) - exact(b)).sum().cpu() for a, b in zip(first, second, strict=True)])
    counts = torch.tensor(lengths, dtype=torch.float64)
    kept = counts > 0
    sums, counts = sums[kept], counts[kept]
    drawn = torch.randint(len(sums), (resamples, len(sums)), generator=seeding.generator(seed, "bootstrap"))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = means.quantile(torch.tensor([_TAIL, 1 - _TAIL], dtype=torch.float64)).tolist()
    return Difference(float(sums.sum() / counts.sum()), low, high)
