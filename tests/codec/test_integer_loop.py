import numpy as np

from vqvae.codec.integer_loop import add_product, rectify


def test_the_parts_compute_as_numpy_does() -> None:
    draws = np.random.default_rng(0)
    x, matrix, out = (draws.integers(-99, 99, shape).astype(float) for shape in (5, (5, 7), 7))
    expected = np.clip(np.floor((out + x @ matrix) / 8 + 0.5), 0, 300)
    add_product(out, x, matrix)
    rectify(out, 1 / 8, 300.0)
    assert np.array_equal(out, expected)
