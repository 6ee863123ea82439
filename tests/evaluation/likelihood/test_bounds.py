"""The bound of a model over held-out data."""

import math

import pytest
import torch

from tests.models import toy
from vqvae.data.base import Batch
from vqvae.errors import DataError
from vqvae.evaluation.likelihood.bounds import score_bound
from vqvae.models import VAEConfig, VQVAEConfig
from vqvae.models.base import Bound


def batches(*sizes: int) -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    return [Batch(torch.randint(0, 256, (size, 1, 2, 4), dtype=torch.uint8, generator=generator)) for size in sizes]


def test_batches_of_any_size_weigh_by_their_examples() -> None:
    model = toy.make(VQVAEConfig)
    row = score_bound(model.bound, batches(5, 2, 1))
    whole = model.requires_grad_(False).bound(Batch(torch.cat([batch.x for batch in batches(5, 2, 1)])))
    bits = -whole.nats.double() / math.log(2) / 8
    assert row["bits_per_dim"] == pytest.approx(float(bits.mean()), rel=1e-6)
    assert row["standard_error"] == pytest.approx(float(bits.std(correction=0)) / math.sqrt(8), rel=1e-4)
    assert row["bits_per_dim_latents"] == pytest.approx(2 * 2 / 8), "two codes of two bits, eight pixels"
    assert row["bits_per_dim_reconstruction"] == pytest.approx(row["bits_per_dim"] - 0.5)
    assert row["examples"] == 8


def test_draws_are_those_of_the_seed() -> None:
    model = toy.make(VAEConfig)
    first, again, other = (score_bound(model.bound, batches(4, 4), seed=seed)["bits_per_dim"] for seed in (0, 0, 1))
    assert first == again != other


def test_every_batch_has_its_own_draws() -> None:
    drawn: list[float] = []

    def bound(batch: Batch) -> Bound:
        drawn.append(float(torch.rand(())))
        return Bound(torch.zeros(len(batch.x)), torch.zeros(len(batch.x)))

    score_bound(bound, batches(1, 1, 1))
    assert len(set(drawn)) == 3


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(DataError, match="Hold out some data"):
        score_bound(toy.make(VQVAEConfig).bound, [])
