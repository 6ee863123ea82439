"""What models with an encoder, a decoder and a likelihood share."""

import torch

from tests.models import toy
from vqvae.data.base import Batch
from vqvae.models import VIMCOConfig, VQVAEConfig
from vqvae.models.autoencoder import per_dim


def test_nats_a_dimension_are_means_over_all_of_them() -> None:
    batch = Batch(torch.zeros(2, 3, 4, 5, dtype=torch.uint8))
    assert per_dim(torch.tensor([60.0, 180.0]), batch) == 2
    assert per_dim(torch.zeros(0), Batch(batch.x[:0])) == 0


def test_metrics_have_one_name_in_all_models() -> None:
    for kind in (VQVAEConfig, VIMCOConfig):
        metrics = toy.make(kind)(toy.image(2)).metrics
        assert {"nats_per_dim", "kl_nats_per_dim", "perplexity", "codes_used"} <= set(metrics)
