"""Sampling loops as single kernels, compiled by numba (the extra ``fast``): its only importer. Import this module where it is used.

All arrays are contiguous, and float32 but for matrices in 8 bits. Matrices are (inputs, outputs), so that the inner loops run along a row
of the matrix and of the result, and become vector instructions. The compiled code is kept on disk where that can be written.
"""

import math
from collections.abc import Callable
from typing import Any, no_type_check

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic, overload

_ZERO, _HALF, _ONE, _TWO = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2)
_LOG2_E, _LN_2 = np.float32(1 / math.log(2)), np.float32(math.log(2))
_TAYLOR = tuple(np.float32(1 / math.factorial(i)) for i in range(8))
_LARGEST, _SATURATED = np.float32(87), np.float32(40)
"""Where exponentials are cut off: e^87 is a float32 number, and so is the product of two of e^40, beside which 1 is nothing."""
_BIAS, _MANTISSA = np.int32(127), np.int32(23)
OUTPUTS = 32
"""Outputs of a matrix in 8 bits that are summed at once: see ``_pairs_times``."""
_LANES = 8
_LARGEST_INT16, _LARGEST_INT32, _LARGEST_WEIGHT = 2**15 - 1, 2**31 - 1, 127
_FASTMATH: Any = {"fastmath": True, "error_model": "numpy", "nogil": True}


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call. ``fastmath`` lets sums be vectorised; nothing here depends on NaN or the order of a sum."""
    try:
        return numba.njit(cache=True, **_FASTMATH)(function)
    except RuntimeError:  # No folder for the cache can be written.
        return numba.njit(**_FASTMATH)(function)


@_compile
@no_type_check
def _exp(x):
    """e^x by 2^n · e^r with |r| ≤ ln(2)/2, to 1e-7 relative: numba's own does not become vector instructions."""
    x = min(max(x, -_LARGEST), _LARGEST)
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN_2
    p = _TAYLOR[7]
    p = p * r + _TAYLOR[6]
    p = p * r + _TAYLOR[5]
    p = p * r + _TAYLOR[4]
    p = p * r + _TAYLOR[3]
    p = p * r + _TAYLOR[2]
    p = p * r + _ONE
    p = p * r + _ONE
    return p * np.int32((np.int32(n) + _BIAS) << _MANTISSA).view(np.float32)


@_compile
@no_type_check
def _gate(out, x):
    """out = tanh(first half of x) · sigmoid(second half), with one division."""
    size = out.shape[0]
    for j in range(size):
        a = _exp(min(max(_TWO * x[j], -_SATURATED), _SATURATED))
        b = _exp(min(max(-x[size + j], -_SATURATED), _SATURATED))
        out[j] = (a - _ONE) / ((a + _ONE) * (b + _ONE))


@_compile
@no_type_check
def _add_product(out, x, matrix):
    """out += x @ matrix for one row. Eight rows of the matrix at a time, so that ``out`` is read and written an eighth as often."""
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


@_compile
@no_type_check
def _add_products(out, x, step, matrix):
    """out[r] += x[r·step : r·step + inputs] @ matrix for every row r; the rows of x may overlap, as windows do.

    Four rows of both factors at a time: sixteen products for four reads of the matrix.
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
        _add_product(out[r], x[r * step : r * step + size], matrix)
        r += 1


@_compile
@no_type_check
def _add_product_in_int8(out, x, blocks, scale, whole, sums):
    """out += x @ matrix for one row, of a matrix in 8 bits: ``in_blocks`` says how it lies in memory, and an output counts its scale.

    The inputs are rounded to 16 bits, so finely that no sum leaves 32. Overwrites ``whole`` and ``sums``.
    """
    size, largest = x.shape[0], _ZERO
    for i in range(size):
        largest = max(largest, abs(x[i]))
    if largest == 0:
        return
    levels = np.float32(min(_LARGEST_INT16, _LARGEST_INT32 // (_LARGEST_WEIGHT * size)))
    finer = levels / largest
    for i in range(size):
        whole[i] = np.int16(np.floor(x[i] * finer + _HALF))
    for b in range(blocks.shape[0]):
        _pairs_times(sums[b * OUTPUTS :], whole, blocks[b], blocks.shape[1])
    coarser = largest / levels
    for j in range(out.shape[0]):
        out[j] += np.float32(sums[j]) * (coarser * scale[j])


@intrinsic
def _pairs_times(typing, sums, x, block, pairs):  # type: ignore[no-untyped-def]
    """sums[:OUTPUTS] = the products of x (int16) with a block (pairs, 2 · OUTPUTS) of int8, in which the weights of two inputs stand side
    by side for each output. In LLVM's language: two products and their sum are one instruction of many processors, which loops of
    Python do not become."""

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


def _add_any_product(out, x, matrix, scale, whole, sums):  # type: ignore[no-untyped-def]
    """out += x @ matrix for one row: of a matrix (inputs, outputs), or of one in blocks of 8 bits, which has an axis more."""


@overload(_add_any_product, jit_options=_FASTMATH)
def _choose_product(out, x, matrix, scale, whole, sums):  # type: ignore[no-untyped-def]
    if matrix.ndim == 2:
        return lambda out, x, matrix, scale, whole, sums: _add_product(out, x, matrix)
    return lambda out, x, matrix, scale, whole, sums: _add_product_in_int8(out, x, matrix, scale, whole, sums)


@_compile
@no_type_check
def _draw(logits, uniform, temperature, top_k, top_p):
    """``vqvae.layers.autoregressive.draw`` for one row; overwrites the logits. 0 stands for no ``temperature`` and no ``top_k``."""
    best = np.argmax(logits)
    if temperature == 0:
        return best
    largest = logits[best]
    for j in range(logits.shape[0]):
        logits[j] = _exp_or_zero((logits[j] - largest) / temperature)
    if top_k > 0 or top_p < 1:
        order = np.argsort(-logits, kind="mergesort")
        kept = order.shape[0] if top_k == 0 else min(top_k, order.shape[0])
        share = 0.0
        for rank in range(kept):
            share += logits[order[rank]]
        share *= top_p
        before = 0.0
        for rank in range(order.shape[0]):
            p = np.float64(logits[order[rank]])
            if rank >= kept or (top_p < 1 and before >= share):
                logits[order[rank]] = _ZERO
            before += p
    total = 0.0
    for j in range(logits.shape[0]):
        total += logits[j]
    bound, cumulative = uniform * total, 0.0
    for j in range(logits.shape[0]):
        cumulative += logits[j]
        if cumulative > bound:
            return j
    return best


@_compile
@no_type_check
def _exp_or_zero(x):
    """e^x for x ≤ 0, and 0 where that is too small to be drawn."""
    return _exp(x) if x > -_LARGEST else _ZERO


@_compile
@no_type_check
def sample_pixelcnn(codes, uniforms, temperature, top_k, top_p, places, weights):
    """Draw a map of codes from a gated PixelCNN: ``vqvae.layers.code_pixelcnn`` step by step, for one example.

    Args:
        codes: int64 (height, width, codebooks), -1 where a code is to be drawn; overwritten.
        uniforms: float64 (height · width · codebooks).
        temperature, top_k, top_p: float32, int and float64; 0, 0 and 1 where there are none.
        places: float32 (height, width, hidden), added to the embeddings.
        weights: those of ``PackedPixelCNN``, in its order, with the class in the two biases, between the prior's own.
    """
    embedding, rows, rows_bias, link, columns, columns_bias, residual, skip, skip_bias = weights[:9]
    output, output_bias, earlier, logits_matrix, logits_bias = weights[9:]
    height, width, books = codes.shape
    layers, hidden, gates = link.shape
    reach, units = columns.shape[1] // hidden - 1, output.shape[1] // books
    # Vertical: the row above and the own one with empty columns around them, what rows give to later ones and to the other stack.
    line, own = np.zeros((width + 2 * reach) * hidden, np.float32), np.zeros((width + 2 * reach) * hidden, np.float32)
    given, above = np.empty((layers, width, (reach + 1) * gates), np.float32), np.empty((layers, width, gates), np.float32)
    # Horizontal: the past inputs of each layer, the gates of each and the residual stream of one position.
    past = np.zeros((layers, (reach + width) * hidden), np.float32)
    opened, stream = np.empty(layers * hidden, np.float32), np.empty(hidden, np.float32)
    features, outputs = np.empty(hidden, np.float32), np.empty(books * units, np.float32)
    told, seen, logits = np.empty(units, np.float32), np.empty(units, np.float32), np.empty(logits_bias.shape[1], np.float32)
    for r in range(height):
        for i in range(layers):
            for c in range(width):
                first = 0
                if r > 0:
                    first = reach
                    for j in range(reach * gates):
                        given[i, c, j] = given[i, c, j + gates]
                for j in range(first, reach + 1):
                    _copy(given[i, c, j * gates :], rows_bias[i])
            _add_products(given[i], line, hidden, rows[i])
            for c in range(width):
                _gate(stream, given[i, c, :gates])
                _add(line[(reach + c) * hidden :], stream)
                _copy(above[i, c], columns_bias[i])
            _add_products(above[i], line[reach * hidden :], hidden, link[i])
        for c in range(width):
            here = (reach + c) * hidden
            # The column left of the first one is empty.
            _copy(stream, own[here - hidden : here])
            for i in range(layers):
                _copy(past[i, here:], stream)
                _add_product(above[i, c], past[i, c * hidden : here + hidden], columns[i])
                _gate(opened[i * hidden : (i + 1) * hidden], above[i, c])
                if i < layers - 1:
                    _add_product(stream, opened[i * hidden : (i + 1) * hidden], residual[i])
            _copy(features, skip_bias)
            _add_product(features, opened, skip)
            _relu(features, features)
            _copy(outputs, output_bias)
            _add_product(outputs, features, output)
            for j in range(units):
                told[j] = _ZERO
            _copy(own[here:], places[r, c])
            for book in range(books):
                code = codes[r, c, book]
                if code < 0:
                    _copy(seen, outputs[book * units : (book + 1) * units])
                    _add(seen, told)
                    _relu(seen, seen)
                    _copy(logits, logits_bias[book])
                    _add_product(logits, seen, logits_matrix[book])
                    code = _draw(logits, uniforms[(r * width + c) * books + book], temperature, top_k, top_p)
                    codes[r, c, book] = code
                _add(own[here:], embedding[book, code])
                if book < books - 1:
                    _add(told, earlier[book, code])
        _copy(line, own)


@_compile
@no_type_check
def _copy(out, x):
    for j in range(x.shape[0]):
        out[j] = x[j]


@_compile
@no_type_check
def _add(out, x):
    for j in range(x.shape[0]):
        out[j] += x[j]


@_compile
@no_type_check
def _relu(out, x):
    for j in range(x.shape[0]):
        out[j] = max(x[j], _ZERO)


@_compile
@no_type_check
def sample_wavenet(values, uniforms, temperature, top_k, top_p, before, position, since, block, books, queues, bias, dilations, weights):
    """Draw the next values of a WaveNet: ``vqvae.layers.wavenet_decoding`` step by step, for one example.

    Args:
        values: int64, -1 where one is to be drawn; overwritten.
        uniforms: float64, as many.
        temperature, top_k, top_p: as for ``sample_pixelcnn``.
        before: the value before the first of them; -1 where there is none.
        position: how many values are before them.
        since: how many values before them have used the bias.
        block: how many values a block of the bias holds for.
        books: how many codebooks take turns.
        queues: float32 (sum of the dilations, hidden), the past inputs of each layer; updated.
        bias: float32 (blocks, layers, gates), added to the gates.
        dilations: int64 (layers).
        weights: those of ``PackedWaveNet``, in its order, with the scales after each matrix: of one in 8 bits, which lies in memory as
            ``in_blocks`` has it, one for each output; else none.
    """
    embedding, pairs, pairs_scale, pairs_bias, outputs, outputs_scale, skip_bias = weights[:7]
    hidden, hidden_scale, hidden_bias, logits_matrix, logits_scale, logits_bias = weights[7:]
    (layers, gates), size, entries = pairs_bias.shape, embedding.shape[1], logits_bias.shape[0]
    gates_bias, both = np.empty((layers, gates), np.float32), np.empty(2 * size, np.float32)
    products, opened = np.empty(gates, np.float32), np.empty(size, np.float32)
    # The residual stream and, after it, the sum of what all layers give.
    onward = np.empty(size + skip_bias.shape[0], np.float32)
    stream, features = onward[:size], onward[size:]
    seen, logits = np.empty(hidden_bias.shape[0], np.float32), np.empty(entries, np.float32)
    # Whole numbers: the inputs and the sums of a product in 8 bits; an input more where they are odd.
    whole = np.zeros(max(2 * size, features.shape[0], seen.shape[0]) + 1, np.int16)
    sums = np.empty(max(gates, onward.shape[0], seen.shape[0], entries) + OUTPUTS, np.int32)
    for t in range(values.shape[0]):
        if t == 0 or (since + t) % block == 0:
            for i in range(layers):
                _copy(gates_bias[i], pairs_bias[i])
                _add(gates_bias[i], bias[(since + t) // block, i])
        if before < 0:
            for j in range(size):
                stream[j] = _ZERO
        else:
            _copy(stream, embedding[(position + t - 1) % books * entries + before])
        _copy(features, skip_bias)
        first = 0
        for i in range(layers):
            past = queues[first + (position + t) % dilations[i]]
            first += dilations[i]
            _copy(both, past)
            _copy(both[size:], stream)
            _copy(past, stream)
            _copy(products, gates_bias[i])
            _add_any_product(products, both, pairs[i], pairs_scale[i], whole, sums)
            _gate(opened, products)
            _add_any_product(onward, opened, outputs[i], outputs_scale[i], whole, sums)
        before = values[t]
        if before < 0:
            _relu(features, features)
            _copy(seen, hidden_bias)
            _add_any_product(seen, features, hidden, hidden_scale, whole, sums)
            _relu(seen, seen)
            _copy(logits, logits_bias)
            _add_any_product(logits, seen, logits_matrix, logits_scale, whole, sums)
            before = _draw(logits, uniforms[t], temperature, top_k, top_p)
            values[t] = before
