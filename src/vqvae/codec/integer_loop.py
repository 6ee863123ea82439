"""The loop that decodes position by position, to be compiled: the same sums as ``integer.Network``, whose order does not matter."""

from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np


@no_type_check
def add_product(out, x, matrix):
    """out += x @ matrix."""
    for i in range(len(x)):
        factor = x[i]
        if factor != 0:
            for j in range(len(out)):
                out[j] += factor * matrix[i, j]


@no_type_check
def rectify(out, scale, largest):
    """Scale, round and clip the sums of a layer, in place."""
    for j in range(len(out)):
        out[j] = min(max(np.floor(out[j] * scale + 0.5), 0.0), largest)


@no_type_check
def weigh(frequencies, logits, scale, exponentials):
    """Logits to frequencies; returns their total. Overwrites the logits."""
    for k in range(len(logits)):
        logits[k] = np.floor(logits[k] * scale + 0.5)
    top, total, last = np.max(logits), 0, len(exponentials) - 1.0
    for k in range(len(logits)):
        frequencies[k] = exponentials[int(min(top - logits[k], last))]
        total += frequencies[k]
    return total


def decode_with(
    take: Callable[..., Any], add_product: Callable[..., Any], rectify: Callable[..., Any], weigh: Callable[..., Any]
) -> Callable[..., int]:
    """The loop, with its parts, compiled or not."""

    @no_type_check
    def decode_positions(state, data, codes, padded, inside, offsets, sums, largest, weights):
        """Decode some positions, one after the other.

        Args:
            state, data: those of ``RangeDecoder``.
            codes: int64 (positions, codebooks), the result.
            padded: the map of ``Context.own``; filled as positions are decoded.
            inside: the places of the positions in this map.
            offsets: what leads from a place to those of its neighbours.
            sums: what the first layer gets from everything but neighbours; overwritten.
            largest: the largest activation.
            weights: the arrays of ``Network``.

        Returns:
            The number of positions before the first impossible code.
        """
        embedding, context, earlier, bias, middle, middle_bias, output, output_bias, scales, exponentials = weights
        hidden, width, size = bias.shape[1], embedding.shape[2], output.shape[2]
        first, second, logits, seen = np.empty(hidden), np.empty(hidden), np.empty(size), np.empty(width)
        frequencies = np.empty(size, np.int64)
        offset, range_width, place = state[0], state[1], state[2]
        for n in range(len(codes)):
            here = inside[n]
            for t in range(len(offsets)):
                seen[:] = 0.0
                for book in range(codes.shape[1]):
                    seen += embedding[book, padded[here + offsets[t], book]]
                add_product(sums[n], seen, context[t * width : (t + 1) * width])
            seen[:] = 0.0
            for book in range(codes.shape[1]):
                first[:] = sums[n] + bias[book]
                add_product(first, seen, earlier[book])
                rectify(first, scales[0], largest)
                second[:] = middle_bias
                add_product(second, first, middle)
                rectify(second, scales[1], largest)
                logits[:] = output_bias[book]
                add_product(logits, second, output[book])
                total = weigh(frequencies, logits, scales[2], exponentials)
                unit = range_width // total
                at, start, code = offset // unit, 0, 0
                if at >= total or place > len(data) + 6:
                    return n
                while start + frequencies[code] <= at:
                    start += frequencies[code]
                    code += 1
                offset, range_width, place = take(offset, range_width, place, data, start, frequencies[code], unit)
                codes[n, book] = code
                padded[here, book] = code + 1
                seen += embedding[book, code + 1]
        state[0], state[1], state[2] = offset, range_width, place
        return len(codes)

    return decode_positions
