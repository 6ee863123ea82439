"""Compiles loops that other folders define: integers, and floats that hold integers. Nothing may depend on the order of a sum."""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, anew in each process. Unlike for the kernels of this folder, the arithmetic is as written."""
    return numba.njit(error_model="numpy", nogil=True)(function)
