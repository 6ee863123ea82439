"""Several codebooks side by side."""

import pytest
import torch

from tests.contracts.test_quantizers import DIM, SIZE, latents, make, same, state
from vqvae.errors import ConfigError, DataError
from vqvae.quantizers import EMAQuantizerConfig, ProductQuantizerConfig, VectorQuantizerConfig


@pytest.mark.parametrize("learning", ["ema", "gradient"])
def test_it_is_its_codebooks_each_on_its_own_channels(learning: str) -> None:
    quantizer = make(ProductQuantizerConfig, learning=learning).train()
    kind = EMAQuantizerConfig if learning == "ema" else VectorQuantizerConfig
    alone = [make(kind, dim=2).train() for _ in range(4)]
    for part, whole in zip(alone, quantizer.parts, strict=True):
        part.load_state_dict(whole.state_dict())
    z = latents(2, DIM, 5, 9)
    for _ in range(3):
        out, parts = quantizer(z), [part(group) for part, group in zip(alone, z.chunk(4, 1), strict=True)]
        assert torch.equal(out.codes, torch.cat([part.codes for part in parts], 1))
        assert torch.equal(out.vectors, torch.cat([part.vectors for part in parts], 1))
        torch.testing.assert_close(out.loss, torch.stack([part.loss for part in parts]).mean())
    assert torch.equal(quantizer.codebook, torch.cat([part.codebook for part in alone]))


def test_a_rate_is_that_of_each_codebook() -> None:
    quantizer = make(ProductQuantizerConfig).eval()
    z, rate = latents(2, DIM, 5, 9), torch.zeros(4, SIZE)
    rate[2] = 1e4
    rate[2, 3] = 0
    free, paid = quantizer(z).codes, quantizer(z, costs=rate).codes
    assert (paid[:, 2] == 3).all() and not (free[:, 2] == 3).all()
    assert torch.equal(paid[:, [0, 1, 3]], free[:, [0, 1, 3]])


def test_a_product_with_one_bad_group_changes_no_group() -> None:  # [25]
    quantizer = make(ProductQuantizerConfig)
    before = state(quantizer)
    z = latents(2, DIM, 5)
    z[0, -1, 0] = float("nan")
    with pytest.raises(DataError):
        quantizer(z)
    assert same(before, state(quantizer))


def test_channels_must_divide_among_the_codebooks() -> None:
    with pytest.raises(ConfigError, match="multiple of num_codebooks"):
        make(ProductQuantizerConfig, dim=6)
