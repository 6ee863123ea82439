import numpy as np

from vqvae.codec.integer_loop import add_product, rectify, weigh


def test_the_parts_compute_as_numpy_does() -> None:
    draws = np.random.default_rng(0)
    x, matrix, out = (draws.integers(-99, 99, shape).astype(float) for shape in (5, (5, 7), 7))
    expected = np.clip(np.floor((out + x @ matrix) / 8 + 0.5), 0, 300)
    add_product(out, x, matrix)
    rectify(out, 1 / 8, 300.0)
    assert np.array_equal(out, expected)


def test_the_most_likely_code_has_the_first_frequency_of_the_table() -> None:
    frequencies = np.zeros(3, np.int64)
    assert weigh(frequencies, np.array([8.0, 0.0, -99.0]), 1 / 4, np.array([100, 50, 20, 1])) == 121
    assert frequencies.tolist() == [100, 20, 1]
