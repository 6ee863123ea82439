"""The parts of the kernels are exact, and no kernel is kept on disk."""

import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from vqvae.layers.kernels.arithmetic import add_product_each, add_products, exp, gate_row, kernel


def test_exponentials_are_exact_to_float32() -> None:
    x = np.linspace(-87, 87, 20001).astype(np.float32)
    found = np.array([exp(value) for value in x])
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=1e-5)
    small = np.abs(x) < 10
    np.testing.assert_allclose(found[small], np.exp(x[small].astype(np.float64)), rtol=1e-6)


def test_gate_saturates() -> None:
    x = np.array([-1e30, 1e30, 0.5, -2, 0, 1e30, -1e30, 0.25, 1e30, 3], np.float32)
    found = np.empty(5, np.float32)
    gate_row(found, x)
    expected = np.tanh(x[:5].astype(np.float64)) * np.array([1, 0, 1 / (1 + math.exp(-0.25)), 1, 1 / (1 + math.exp(-3))])
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("shape", [(1, 3, 5), (7, 9, 2), (8, 16, 32)])
@pytest.mark.parametrize("step", [1, 4])
def test_products_of_overlapping_windows(shape: tuple[int, int, int], step: int) -> None:
    rows, size, outputs = shape
    generator = np.random.default_rng(0)
    x = generator.standard_normal(rows * step + size).astype(np.float32)
    matrix, out = (generator.standard_normal((n, outputs)).astype(np.float32) for n in (size, rows))
    expected = out + np.stack([x[r * step : r * step + size] for r in range(rows)]) @ matrix
    add_products(out, x, step, matrix)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [3, 8, 21])
def test_the_product_of_a_row_does_not_depend_on_the_others(size: int) -> None:
    generator = np.random.default_rng(0)
    x, matrix, out = (generator.standard_normal(shape).astype(np.float32) for shape in ((5, size), (size, 9), (5, 9)))
    expected, alone = out + x @ matrix, out[3:4].copy()
    add_product_each(out, x, matrix)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
    add_product_each(alone, x[3:4], matrix)
    assert np.array_equal(alone, out[3:4])


def test_nothing_is_kept_on_disk(tmp_path: Path) -> None:
    show = "from tests.layers.kernels.test_arithmetic import double; from vqvae.layers.kernels.arithmetic import kernel; "
    show += "print(kernel(double)(3))"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "6" and list(tmp_path.rglob("*")) == []


def double(x: int) -> int:
    """What the test above compiles."""
    return 2 * x


def test_compiling_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run = kernel(double)
    assert (run(2), run(3)) == (4, 6)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("vqvae")] == [
        "Compiling the sampler. This takes a few seconds."
    ]
