"""A WaveNet that draws the next values of a sequence."""

from typing import no_type_check

import numpy as np

from vqvae.layers.kernels.arithmetic import ZERO, add, copy, gate_row, kernel, part, relu
from vqvae.layers.kernels.draw import draw_code
from vqvae.layers.kernels.int8 import OUTPUTS, add_any_product


@kernel
@no_type_check
def sample_wavenet(values, uniforms, temperature, top_k, top_p, before, position, since, block, books, queues, bias, dilations, weights):
    """Draw the next values of a WaveNet, for one example: the same steps as ``vqvae.layers.wavenet_decoding``.

    Args:
        values: int64, -1 for values to draw; overwritten.
        uniforms: float64, one per value.
        temperature, top_k, top_p: as for ``sample_pixelcnn``.
        before: the value before the first; -1 if there is none.
        position: number of values before the first.
        since: number of earlier values that used this bias.
        block: number of values per block of the bias.
        books: number of codebooks that take turns.
        queues: float32 (sum of the dilations, hidden), the past inputs of each layer; updated.
        bias: float32 (blocks, layers, gates), added to the gates.
        dilations: int64 (layers).
        weights: those of ``PackedWaveNet``, in its order, each matrix followed by its scales. A matrix in 8 bits has the layout of
            ``in_blocks`` and one scale for each output; others have none.
    """
    embedding, pairs, pairs_scale, pairs_bias, outputs, outputs_scale, skip_bias = weights[:7]
    hidden, hidden_scale, hidden_bias, logits_matrix, logits_scale, logits_bias = weights[7:]
    (layers, gates), size, entries = pairs_bias.shape, embedding.shape[1], logits_bias.shape[0]
    room = _room(layers, gates, size, skip_bias.shape[0], hidden_bias.shape[0], entries)
    gates_bias, both, products, opened, onward, seen, logits, whole, sums = room
    # The residual stream, then the sum of all layers' outputs.
    stream, features = onward[:size], onward[size:]
    for t in range(values.shape[0]):
        if t == 0 or (since + t) % block == 0:
            for i in range(layers):
                copy(gates_bias[i], pairs_bias[i])
                add(gates_bias[i], bias[(since + t) // block, i])
        if before < 0:
            for j in range(size):
                stream[j] = ZERO
        else:
            copy(stream, embedding[(position + t - 1) % books * entries + before])
        copy(features, skip_bias)
        first = 0
        for i in range(layers):
            past = queues[first + (position + t) % dilations[i]]
            first += dilations[i]
            copy(both, past)
            copy(both[size:], stream)
            copy(past, stream)
            copy(products, gates_bias[i])
            add_any_product(products, both, pairs[i], pairs_scale[i], whole, sums)
            gate_row(opened, products)
            add_any_product(onward, opened, outputs[i], outputs_scale[i], whole, sums)
        before = values[t]
        if before < 0:
            relu(features, features)
            copy(seen, hidden_bias)
            add_any_product(seen, features, hidden, hidden_scale, whole, sums)
            relu(seen, seen)
            copy(logits, logits_bias)
            add_any_product(logits, seen, logits_matrix, logits_scale, whole, sums)
            before = draw_code(logits, uniforms[t], temperature, top_k, top_p)
            values[t] = before


@part
@no_type_check
def _room(layers, gates, size, skip, output_hidden, entries):
    """The buffers that the kernel writes into, allocated once for all values."""
    gates_bias, both = np.empty((layers, gates), np.float32), np.empty(2 * size, np.float32)
    products, opened, onward = np.empty(gates, np.float32), np.empty(size, np.float32), np.empty(size + skip, np.float32)
    seen, logits = np.empty(output_hidden, np.float32), np.empty(entries, np.float32)
    # Integers: the inputs and the sums of a product in 8 bits, with one more input if their number is odd.
    whole = np.zeros(max(2 * size, skip, output_hidden) + 1, np.int16)
    sums = np.empty(max(gates, size + skip, output_hidden, entries) + OUTPUTS, np.int32)
    return gates_bias, both, products, opened, onward, seen, logits, whole, sums
