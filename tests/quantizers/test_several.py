"""Several codebooks as one."""

import pytest
import torch

from vqvae.quantizers import ProductQuantizerConfig, ResidualQuantizerConfig


@pytest.mark.parametrize("kind", [ProductQuantizerConfig, ResidualQuantizerConfig])
def test_the_parts_are_seen_as_one(kind: type) -> None:
    quantizer = kind(dim=4, codebook_size=8, num_codebooks=2).build()
    assert not quantizer.started and quantizer.codebook.shape[:2] == (2, 8)
    quantizer.parts[0].started.fill_(True)
    assert not quantizer.started, "all of them must have"
    quantizer.start(torch.randn(200, 4))
    assert quantizer.started
    for view, name in ((quantizer.counts, "counts"), (quantizer.sums, "sums"), (quantizer.codebook, "codebook")):
        assert torch.equal(view, torch.cat([getattr(part, name) for part in quantizer.parts]))


@pytest.mark.parametrize("kind", [ProductQuantizerConfig, ResidualQuantizerConfig])
def test_all_learn_once_at_the_end_of_what_is_accumulated(kind: type) -> None:
    quantizer = kind(dim=4, codebook_size=8, num_codebooks=2).build()
    quantizer.start(torch.randn(200, 4))
    before = quantizer.codebook.clone()
    with quantizer.accumulate():
        for _ in range(2):
            quantizer(torch.randn(2, 4, 9))
            assert torch.equal(quantizer.codebook, before)
    assert all((part.codebook != old).any() for part, old in zip(quantizer.parts, before, strict=True))
