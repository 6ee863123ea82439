"""What held-out data costs in bits."""

import math

import pytest
import torch

from vqvae.codes import Codes, Level
from vqvae.data.base import Batch
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.likelihood.costs import Costs

LAYOUT = (Level(1, 4, (4,)), Level(2, 8, (2,)))


def test_codes_and_data_add_up_to_bits() -> None:
    costs = Costs(LAYOUT, {"learned": lambda codes, condition, mask: torch.full((len(codes[0]),), -3.0)})
    for count in (2, 3):
        codes = Codes([torch.zeros(count, 1, 2, dtype=torch.int64), torch.ones(count, 2, 4, dtype=torch.int64)])
        costs.add(Batch(torch.zeros(count, 1, 8)), codes, torch.full((count,), -10.0))
    found, uniform = costs.scores(), 2 * math.log2(4) + 8 * math.log2(8)
    assert (costs.examples, costs.dims, costs.codes) == (5, 40, 50)
    assert found["bits_per_dim_reconstruction"] == pytest.approx(10 / math.log(2) / 8)
    assert found["bits_per_dim_uniform"] == pytest.approx((10 / math.log(2) + uniform) / 8)
    assert found["bits_per_dim_learned"] == pytest.approx(13 / math.log(2) / 8)
    assert found["bits_per_code"] == pytest.approx(3 / math.log(2) / 10)
    assert found["bits_per_code_uniform"] == pytest.approx(uniform / 10)
    assert set(costs.usage_scores()) == {f"{name}_level_{level}" for name in ("perplexity", "codes_used") for level in (0, 1)}


def test_what_a_mask_leaves_out_counts_nowhere() -> None:
    costs = Costs(LAYOUT[:1], {})
    mask = torch.tensor([[True] * 4 + [False] * 4])
    codes = Codes([torch.tensor([[[0, 3]]])], [torch.tensor([[True, False]])])
    costs.add(Batch(torch.zeros(1, 1, 8), mask=mask), codes, None)
    assert (costs.codes, costs.dims) == (1, 4) and costs.usage[0].counts[0].tolist() == [1, 0, 0, 0]
    assert costs.scores() == {"bits_per_code_uniform": pytest.approx(2.0)}, "no likelihood, so no bits of data"


def test_kept_names_and_no_data_are_refused() -> None:
    with pytest.raises(ConfigError, match="uniform"):
        Costs(LAYOUT, {"uniform": lambda *given: torch.zeros(1)})
    with pytest.raises(DataError, match="no examples to score"):
        Costs(LAYOUT, {}).scores()
