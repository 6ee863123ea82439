"""Products in 8 bits are those of the rounded matrix."""

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from vqvae.layers.kernels.int8 import OUTPUTS, add_product_in_int8
from vqvae.layers.wavenet_decoding import in_blocks, to_int8


@pytest.mark.parametrize("shape", [(1, 33), (7, 5), (64, 160), (1024, 32)])
def test_products_in_8_bits(shape: tuple[int, int]) -> None:
    size, outputs = shape
    generator = np.random.default_rng(0)
    x, before = (generator.standard_normal(count).astype(np.float32) for count in (size, outputs))
    matrix = to_int8(torch.from_numpy(generator.standard_normal(shape).astype(np.float32)))
    blocks = in_blocks(matrix.weights, OUTPUTS).contiguous().numpy()
    # What an earlier product left there must not matter.
    whole, sums = np.full(size + 1, 99, np.int16), np.full(outputs + OUTPUTS, 99, np.int32)
    out = before.copy()
    add_product_in_int8(out, x, blocks, matrix.scale.numpy(), whole, sums)
    products = x.astype(np.float64) @ matrix.restored().double().numpy()
    np.testing.assert_allclose(out - before, products, atol=1e-4 * np.abs(products).max())
    out = before.copy()
    add_product_in_int8(out, 0 * x, blocks, matrix.scale.numpy(), whole, sums)
    assert np.array_equal(out, before)
    # The largest sums that there can be stay in 32 bits.
    ones = np.full(size, -1, np.float32)
    most = to_int8(torch.ones(shape))
    add_product_in_int8(out, ones, in_blocks(most.weights, OUTPUTS).contiguous().numpy(), most.scale.numpy(), whole, sums)
    np.testing.assert_allclose(out - before, -size, rtol=1e-4, atol=1e-4)
