"""The parts of the kernels are exact, and what is kept on disk is of these files."""

import inspect
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from vqvae.layers.kernels import arithmetic
from vqvae.layers.kernels.arithmetic import SOURCES, add_products, exp, gate_row
from vqvae.layers.kernels.pixelcnn import sample_pixelcnn
from vqvae.layers.kernels.wavenet import sample_wavenet


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


def test_a_change_of_any_file_makes_kernels_anew(tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    folder.mkdir()
    shutil.copy(inspect.getfile(arithmetic), folder / "arithmetic.py")
    (folder / "__init__.py").touch()
    (folder / "loop.py").write_text(
        "from kernels.arithmetic import SOURCES, kernel\nfrom kernels.factor import factor\n\n\n"
        "@kernel\ndef loop(x, sources=SOURCES):\n    return factor() * x\n"
    )
    show = "from kernels.loop import loop; print(loop(3.0), sum(loop.stats.cache_hits.values()))"

    def run(factor: int) -> str:
        (folder / "factor.py").write_text(f"from kernels.arithmetic import part\n\n\n@part\ndef factor():\n    return {factor}.0\n")
        return subprocess.run([sys.executable, "-c", show], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    assert run(2) == "6.0 0"
    assert run(2) == "6.0 1", "the second process finds the code of the first"
    assert run(5) == "15.0 0", "it is not what another file has been before"


def test_every_kernel_is_kept_under_all_sources() -> None:
    assert [kernel.py_func.__defaults__ for kernel in (sample_pixelcnn, sample_wavenet)] == [(SOURCES,)] * 2
