"""Use of a codebook beside numpy."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from vqvae.errors import DataError
from vqvae.evaluation.codebook import CodebookUsage


def test_a_stream_equals_numpy_over_the_whole_set() -> None:  # pitfall 25
    generator = np.random.default_rng(0)
    codes = np.minimum(generator.geometric(0.05, (50, 2, 3, 4)) - 1, 999)
    codes[:, 1] = 7
    usage = CodebookUsage(2, 1000)
    for part in np.array_split(codes, 7):
        usage.add(torch.from_numpy(part))
    counts = np.stack([np.bincount(codes[:, book].ravel(), minlength=1000) for book in range(2)])
    assert np.array_equal(usage.counts.numpy(), counts)
    nats = [entropy(row) for row in counts]
    assert usage.perplexity == pytest.approx(np.exp(nats).mean(), rel=1e-6)
    assert usage.nats_per_code == pytest.approx(np.mean(nats), rel=1e-6)
    assert usage.codes_used == pytest.approx((counts > 0).mean())


def test_even_use_is_the_size_of_the_codebook() -> None:
    usage = CodebookUsage(1, 16)
    usage.add(torch.arange(16).view(2, 1, 8))
    assert usage.perplexity == pytest.approx(16) and usage.codes_used == 1.0
    assert usage.nats_per_code == pytest.approx(np.log(16))


@pytest.mark.parametrize("codes", [torch.zeros(2, 3, 4, dtype=torch.int64), torch.full((2, 1, 4), 8), torch.full((2, 1, 4), -1)])
def test_codes_of_another_codebook_are_an_error(codes: torch.Tensor) -> None:
    usage = CodebookUsage(1, 8)
    with pytest.raises(DataError):
        usage.add(codes)
    assert usage.counts.sum() == 0
