"""No quantization."""

import pytest
import torch

from tests.contracts.test_quantizers import DIM, latents, make
from vqvae.errors import DataError
from vqvae.quantizers import CodebookQuantizer, IdentityQuantizerConfig


def test_latents_pass_bit_for_bit_without_a_loss() -> None:
    quantizer, z = make(IdentityQuantizerConfig).train(), latents(2, DIM, 5, 9)
    out = quantizer(z)
    assert torch.equal(out.vectors, z) and out.codes.shape == (2, 0, 5, 9) and out.loss == 0
    assert not list(quantizer.parameters()) and not isinstance(quantizer, CodebookQuantizer)


def test_masked_positions_are_zero_whatever_was_there() -> None:
    z = latents(2, DIM, 4)
    z[0, :, 3] = float("nan")
    mask = torch.ones(2, 4, dtype=torch.bool)
    mask[0, 3] = False
    vectors = make(IdentityQuantizerConfig)(z, mask).vectors
    assert (vectors[0, :, 3] == 0).all() and torch.equal(vectors[1], z[1]) and torch.equal(vectors[0, :, :3], z[0, :, :3])


def test_nothing_can_be_decoded_from_no_codes() -> None:
    with pytest.raises(DataError, match="no codebook"):
        make(IdentityQuantizerConfig).decode(torch.zeros(1, 0, 3, dtype=torch.int64))
