"""Parts of the kernels: compilation, e^x, the gate, copies and sums of rows, products of floats."""

import functools
import itertools
import logging
import math
from collections.abc import Callable
from typing import Any, no_type_check

import numba
import numpy as np

_log = logging.getLogger(__name__)

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
LARGEST = np.float32(87)
"""Upper limit of exponents: e^87 fits in float32."""
_TWO = np.float32(2)
_LOG2_E, _LN_2 = np.float32(1 / math.log(2)), np.float32(math.log(2))
_TAYLOR = tuple(np.float32(1 / math.factorial(i)) for i in range(8))
_SATURATED = np.float32(40)
"""Limit of a gate's inputs: e^40 · e^40 fits in float32, and 1 is negligible beside it."""
_BIAS, _MANTISSA = np.int32(127), np.int32(23)
FASTMATH: Any = {"fastmath": True, "error_model": "numpy", "nogil": True}
"""Allows sums to be vectorised. Nothing here depends on NaN or on the order of a sum."""


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, anew in each process: numba would keep kernels on disk as pickles, and reading a pickle runs code.

    Compiling takes seconds, so the log says it. Threads that wait for the same compilation do not say it again.
    """
    compiled, calls = numba.njit(**FASTMATH)(function), itertools.count()

    @functools.wraps(function)
    def run(*arguments: Any) -> Any:
        if next(calls) == 0:
            _log.info("Compiling the sampler. This takes a few seconds.")
        return compiled(*arguments)

    return run


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile into the calling kernel, always inlined: sums round the same way everywhere."""
    return numba.njit(forceinline=True, **FASTMATH)(function)


@part
@no_type_check
def exp(x):
    """e^x as 2^n · e^r with |r| ≤ ln(2)/2, with a relative error of 1e-7. numba's own does not become vector instructions."""
    x = min(max(x, -LARGEST), LARGEST)
    n = np.floor(x * _LOG2_E + HALF)
    r = x - n * _LN_2
    p = _TAYLOR[7]
    p = p * r + _TAYLOR[6]
    p = p * r + _TAYLOR[5]
    p = p * r + _TAYLOR[4]
    p = p * r + _TAYLOR[3]
    p = p * r + _TAYLOR[2]
    p = p * r + ONE
    p = p * r + ONE
    return p * np.int32((np.int32(n) + _BIAS) << _MANTISSA).view(np.float32)


@part
@no_type_check
def gate_row(out, x):
    """out = tanh(first half of x) · sigmoid(second half), with one division."""
    size = out.shape[0]
    for j in range(size):
        a = exp(min(max(_TWO * x[j], -_SATURATED), _SATURATED))
        b = exp(min(max(-x[size + j], -_SATURATED), _SATURATED))
        out[j] = (a - ONE) / ((a + ONE) * (b + ONE))


@part
@no_type_check
def copy(out, x):
    for j in range(x.shape[0]):
        out[j] = x[j]


@part
@no_type_check
def add(out, x):
    for j in range(x.shape[0]):
        out[j] += x[j]


@part
@no_type_check
def relu(out, x):
    for j in range(x.shape[0]):
        out[j] = max(x[j], ZERO)


@part
@no_type_check
def add_product(out, x, matrix):
    """out += x @ matrix for one row. It takes eight rows of the matrix at a time: ``out`` is read and written an eighth as often."""
    size = x.shape[0]
    i = 0
    while i + 8 <= size:
        a, b, c, d, e, f, g, h = x[i], x[i + 1], x[i + 2], x[i + 3], x[i + 4], x[i + 5], x[i + 6], x[i + 7]
        m0, m1, m2, m3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        m4, m5, m6, m7 = matrix[i + 4], matrix[i + 5], matrix[i + 6], matrix[i + 7]
        for j in range(out.shape[0]):
            out[j] += (a * m0[j] + b * m1[j] + c * m2[j] + d * m3[j]) + (e * m4[j] + f * m5[j] + g * m6[j] + h * m7[j])
        i += 8
    while i < size:
        a = x[i]
        for j in range(out.shape[0]):
            out[j] += a * matrix[i, j]
        i += 1


@part
@no_type_check
def add_product_each(out, x, matrix):
    """``add_product`` for each row of out and x. Eight rows of the matrix stay in cache for all of them.

    The sums of a row do not depend on the number of rows. Those of ``add_products`` do.
    """
    size = matrix.shape[0]
    i = 0
    while i + 8 <= size:
        m0, m1, m2, m3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        m4, m5, m6, m7 = matrix[i + 4], matrix[i + 5], matrix[i + 6], matrix[i + 7]
        for r in range(out.shape[0]):
            row, y = out[r], x[r]
            a, b, c, d, e, f, g, h = y[i], y[i + 1], y[i + 2], y[i + 3], y[i + 4], y[i + 5], y[i + 6], y[i + 7]
            for j in range(row.shape[0]):
                row[j] += (a * m0[j] + b * m1[j] + c * m2[j] + d * m3[j]) + (e * m4[j] + f * m5[j] + g * m6[j] + h * m7[j])
        i += 8
    while i < size:
        for r in range(out.shape[0]):
            row, a = out[r], x[r, i]
            for j in range(row.shape[0]):
                row[j] += a * matrix[i, j]
        i += 1


@part
@no_type_check
def add_products(out, x, step, matrix):
    """out[r] += x[r·step : r·step + inputs] @ matrix for every row r. The rows of x may overlap, as windows do.

    It takes four rows of both factors at a time: sixteen products for four reads of the matrix.
    """
    rows, size = out.shape[0], matrix.shape[0]
    whole = size - size % 4
    r = 0
    while r + 4 <= rows:
        out0, out1, out2, out3 = out[r], out[r + 1], out[r + 2], out[r + 3]
        x0, x1, x2, x3 = x[r * step :], x[(r + 1) * step :], x[(r + 2) * step :], x[(r + 3) * step :]
        for i in range(0, whole, 4):
            m0, m1, m2, m3 = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
            a00, a01, a02, a03 = x0[i], x0[i + 1], x0[i + 2], x0[i + 3]
            a10, a11, a12, a13 = x1[i], x1[i + 1], x1[i + 2], x1[i + 3]
            a20, a21, a22, a23 = x2[i], x2[i + 1], x2[i + 2], x2[i + 3]
            a30, a31, a32, a33 = x3[i], x3[i + 1], x3[i + 2], x3[i + 3]
            for j in range(out.shape[1]):
                p, q, s, t = m0[j], m1[j], m2[j], m3[j]
                out0[j] += a00 * p + a01 * q + a02 * s + a03 * t
                out1[j] += a10 * p + a11 * q + a12 * s + a13 * t
                out2[j] += a20 * p + a21 * q + a22 * s + a23 * t
                out3[j] += a30 * p + a31 * q + a32 * s + a33 * t
        for i in range(whole, size):
            for j in range(out.shape[1]):
                out0[j] += x0[i] * matrix[i, j]
                out1[j] += x1[i] * matrix[i, j]
                out2[j] += x2[i] * matrix[i, j]
                out3[j] += x3[i] * matrix[i, j]
        r += 4
    while r < rows:
        add_product(out[r], x[r * step : r * step + size], matrix)
        r += 1
