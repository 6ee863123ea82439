"""Products of a row of floats with a matrix in 8 bits, small enough for the cache of one core."""

from typing import Any, no_type_check

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic, overload

from vqvae.layers.kernels.arithmetic import FASTMATH, HALF, ZERO, add_product, part

OUTPUTS = 32
"""Number of outputs of an 8-bit matrix that are summed at once: see ``_pairs_times``."""
_LANES = 8
_LARGEST_INT16, _LARGEST_INT32, _LARGEST_WEIGHT = 2**15 - 1, 2**31 - 1, 127


@part
@no_type_check
def add_product_in_int8(out, x, blocks, scale, whole, sums):
    """out += x @ matrix for one row and a matrix in 8 bits. ``in_blocks`` defines its layout in memory; each output has a scale.

    The inputs are rounded to 16 bits, so that every sum fits in 32. Overwrites ``whole`` and ``sums``.
    """
    size, largest = x.shape[0], ZERO
    for i in range(size):
        largest = max(largest, abs(x[i]))
    if largest == 0:
        return
    levels = np.float32(min(_LARGEST_INT16, _LARGEST_INT32 // (_LARGEST_WEIGHT * size)))
    finer = levels / largest
    for i in range(size):
        whole[i] = np.int16(np.floor(x[i] * finer + HALF))
    for b in range(blocks.shape[0]):
        _pairs_times(sums[b * OUTPUTS :], whole, blocks[b], blocks.shape[1])
    coarser = largest / levels
    for j in range(out.shape[0]):
        out[j] += np.float32(sums[j]) * (coarser * scale[j])


@intrinsic
def _pairs_times(typing, sums, x, block, pairs):  # type: ignore[no-untyped-def]
    """sums[:OUTPUTS] = the products of x (int16) with a block (pairs, 2 · OUTPUTS) of int8. In the block, the weights of two inputs stand
    side by side for each output. Written as LLVM code: on many processors two products and their sum are one instruction, which numba
    does not make of Python loops."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        int8, int16, int32, int64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
        sums, x, block = (
            context.make_array(kind)(context, builder, value).data for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
        )
        lanes, both = ir.VectorType(int32, _LANES), ir.VectorType(int32, 2 * _LANES)
        start, loop, end = builder.block, builder.append_basic_block("pairs"), builder.append_basic_block("summed")
        builder.branch(loop)
        builder.position_at_end(loop)
        place, totals = builder.phi(int64), [builder.phi(lanes) for _ in range(OUTPUTS // _LANES)]
        pair = builder.load(builder.gep(builder.bitcast(x, int32.as_pointer()), [place]), align=2)
        one = builder.insert_element(ir.Constant(lanes, ir.Undefined), pair, int32(0))
        spread = builder.shuffle_vector(one, ir.Constant(lanes, ir.Undefined), ir.Constant(lanes, [0] * _LANES))
        inputs = builder.sext(builder.bitcast(spread, ir.VectorType(int16, 2 * _LANES)), both)
        even, odd = (ir.Constant(lanes, list(range(first, 2 * _LANES, 2))) for first in (0, 1))
        grown = []
        for number, total in enumerate(totals):
            first = builder.add(builder.mul(place, int64(2 * OUTPUTS)), int64(2 * _LANES * number))
            where = builder.gep(builder.bitcast(block, int8.as_pointer()), [first])
            weights = builder.load(builder.bitcast(where, ir.VectorType(int8, 2 * _LANES).as_pointer()), align=1)
            products = builder.mul(builder.sext(weights, both), inputs)
            each = [builder.shuffle_vector(products, ir.Constant(both, ir.Undefined), half) for half in (even, odd)]
            grown.append(builder.add(total, builder.add(*each)))
        following = builder.add(place, int64(1))
        builder.cbranch(builder.icmp_signed("<", following, arguments[3]), loop, end)
        for phi, value in zip((place, *totals), (following, *grown), strict=True):
            phi.add_incoming(ir.Constant(phi.type, None), start)
            phi.add_incoming(value, loop)
        builder.position_at_end(end)
        for number, total in enumerate(grown):
            builder.store(total, builder.gep(builder.bitcast(sums, lanes.as_pointer()), [int64(number)]), align=4)
        return context.get_dummy_value()

    return numba.void(sums, x, block, pairs), generate


def add_any_product(out, x, matrix, scale, whole, sums):  # type: ignore[no-untyped-def]
    """out += x @ matrix for one row. The matrix is (inputs, outputs), or in blocks of 8 bits, with one more axis."""


@overload(add_any_product, jit_options=FASTMATH)
def _choose_product(out, x, matrix, scale, whole, sums):  # type: ignore[no-untyped-def]
    if matrix.ndim == 2:
        return lambda out, x, matrix, scale, whole, sums: add_product(out, x, matrix)
    return lambda out, x, matrix, scale, whole, sums: add_product_in_int8(out, x, matrix, scale, whole, sums)
