"""A gated PixelCNN that draws a map of codes."""

from typing import no_type_check

import numpy as np

from vqvae.layers.kernels.arithmetic import ZERO, add, add_product, add_products, copy, gate_row, kernel, part, relu
from vqvae.layers.kernels.draw import draw_code


@kernel
@no_type_check
def sample_pixelcnn(codes, uniforms, temperature, top_k, top_p, places, around, weights):
    """Draw a map of codes from a gated PixelCNN, for one example: the same steps as ``vqvae.layers.code_pixelcnn``.

    Args:
        codes: int64 (height, width, codebooks), -1 for codes to draw; overwritten.
        uniforms: float64 (height · width · codebooks).
        temperature, top_k, top_p: float32, int and float64; 0, 0 and 1 mean none.
        places: float32 (height, width, hidden), added to the embeddings.
        around: the parts of ``Surroundings``, float32 (height, width, ...); zeros if there are none.
        weights: those of ``PackedPixelCNN``, in its order, with the class in the two biases, between the prior's own.
    """
    embedding, rows, rows_bias, link, columns, columns_bias, residual, skip, skip_bias = weights[:9]
    output, output_bias, earlier, logits_matrix, logits_bias = weights[9:]
    height, width, books = codes.shape
    layers, hidden, gates = link.shape
    reach, units = columns.shape[1] // hidden - 1, output.shape[1] // books
    # Vertical: the row above and the own row between empty columns; the contributions of rows to later rows and to the other stack.
    line, own = np.zeros((width + 2 * reach) * hidden, np.float32), np.zeros((width + 2 * reach) * hidden, np.float32)
    given, above = np.empty((layers, width, (reach + 1) * gates), np.float32), np.empty((layers, width, gates), np.float32)
    # Horizontal: the past inputs of each layer, the gates of each and the residual stream of one position.
    past = np.zeros((layers, (reach + width) * hidden), np.float32)
    opened, stream = np.empty(layers * hidden, np.float32), np.empty(hidden, np.float32)
    features, outputs = np.empty(hidden, np.float32), np.empty(books * units, np.float32)
    told, seen, logits = np.empty(units, np.float32), np.empty(units, np.float32), np.empty(logits_bias.shape[1], np.float32)
    for r in range(height):
        _run_rows(given, above, line, stream, around[0][r], r == 0, (rows, rows_bias, link, columns_bias))
        for c in range(width):
            here = (reach + c) * hidden
            # The column left of the first is empty.
            copy(stream, own[here - hidden : here])
            add(stream, around[1][r, c])
            for i in range(layers):
                copy(past[i, here:], stream)
                add_product(above[i, c], past[i, c * hidden : here + hidden], columns[i])
                gate_row(opened[i * hidden : (i + 1) * hidden], above[i, c])
                if i < layers - 1:
                    add_product(stream, opened[i * hidden : (i + 1) * hidden], residual[i])
            copy(features, skip_bias)
            add_product(features, opened, skip)
            relu(features, features)
            copy(outputs, output_bias)
            add_product(outputs, features, output)
            add(outputs, around[2][r, c])
            for j in range(units):
                told[j] = ZERO
            copy(own[here:], places[r, c])
            for book in range(books):
                code = codes[r, c, book]
                if code < 0:
                    copy(seen, outputs[book * units : (book + 1) * units])
                    add(seen, told)
                    relu(seen, seen)
                    copy(logits, logits_bias[book])
                    add_product(logits, seen, logits_matrix[book])
                    code = draw_code(logits, uniforms[(r * width + c) * books + book], temperature, top_k, top_p)
                    codes[r, c, book] = code
                add(own[here:], embedding[book, code])
                if book < books - 1:
                    add(told, earlier[book, code])
        copy(line, own)


@part
@no_type_check
def _run_rows(given, above, line, stream, down, is_first, weights):
    """Run the vertical stack for one row, from ``line``, the inputs of the row above. It fills ``above`` for the horizontal stack.

    Overwrites ``line`` and ``stream``. ``given``, what each row contributes to itself and to later rows, moves on by one row.
    """
    rows, rows_bias, link, columns_bias = weights
    layers, hidden, gates = link.shape
    width, reach = given.shape[1], given.shape[2] // gates - 1
    for c in range(width):
        add(line[(reach + c) * hidden :], down[c])
    for i in range(layers):
        for c in range(width):
            first = 0
            if not is_first:
                first = reach
                for j in range(reach * gates):
                    given[i, c, j] = given[i, c, j + gates]
            for j in range(first, reach + 1):
                copy(given[i, c, j * gates :], rows_bias[i])
        add_products(given[i], line, hidden, rows[i])
        for c in range(width):
            gate_row(stream, given[i, c, :gates])
            add(line[(reach + c) * hidden :], stream)
            copy(above[i, c], columns_bias[i])
        add_products(above[i], line[reach * hidden :], hidden, link[i])
