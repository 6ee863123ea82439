"""A gated PixelCNN that draws a map of codes."""

from typing import no_type_check

import numpy as np

from vqvae.layers.kernels.arithmetic import ZERO, add, add_product_each, add_products, copy, gate_row, kernel, part, relu
from vqvae.layers.kernels.draw import draw_code


@kernel
@no_type_check
def sample_pixelcnn(codes, uniforms, temperature, top_k, top_p, places, around, biases, weights):
    """Draw maps of codes from a gated PixelCNN: the same steps as ``vqvae.layers.code_pixelcnn``.

    The examples take turns at each product, so the weights are read once for all of them. The sums of one do not depend on the others.

    Args:
        codes: int64 (examples, height, width, codebooks), -1 for codes to draw; overwritten.
        uniforms: float64 (examples, height · width · codebooks).
        temperature, top_k, top_p: float32, int and float64; 0, 0 and 1 mean none.
        places: float32 (height, width, hidden), added to the embeddings.
        around: the parts of ``Surroundings``, float32 (examples, height, width, ...); zeros if there are none.
        biases: those of the rows and of the columns, with the class, float32 (examples, 2, layers, gates).
        weights: those of ``PackedPixelCNN`` without these two biases, in its order, between the prior's own.
    """
    embedding, rows, link, columns, residual, skip, skip_bias = weights[:7]
    output, output_bias = weights[7:9]
    examples, height, width, books = codes.shape
    layers, hidden, gates = link.shape
    reach, units = columns.shape[1] // hidden - 1, output.shape[1] // books
    # Vertical: the row above between empty columns, and what each row gives to later rows and to the other stack.
    line = np.zeros((examples, (width + 2 * reach) * hidden), np.float32)
    given = np.empty((examples, layers, width, (reach + 1) * gates), np.float32)
    above, unused = np.empty((examples, layers, width, gates), np.float32), np.empty(hidden, np.float32)
    # Horizontal, in columns: the own row between empty columns, and the past inputs of each layer.
    own = np.zeros((width + 2 * reach, examples, hidden), np.float32)
    past = np.zeros((layers, reach + width, examples, hidden), np.float32)
    # Horizontal, at one position: the gates of each layer and their inputs, the residual stream, and the output.
    opened, entering = np.empty((layers, examples, hidden), np.float32), np.empty((examples, gates), np.float32)
    stream, features = np.empty((examples, hidden), np.float32), np.empty((examples, hidden), np.float32)
    outputs, told = np.empty((examples, books * units), np.float32), np.empty((examples, units), np.float32)
    seen, logits = np.empty((examples, units), np.float32), np.empty((examples, weights[11].shape[1]), np.float32)
    for r in range(height):
        for e in range(examples):
            parts = (rows, biases[e, 0], link, biases[e, 1])
            _run_rows(given[e], above[e], line[e], unused, around[0][e, r], r == 0, parts)
        for c in range(width):
            for e in range(examples):
                # The column left of the first is empty.
                copy(stream[e], own[reach + c - 1, e])
                add(stream[e], around[1][e, r, c])
                copy(features[e], skip_bias)
                copy(outputs[e], output_bias)
                copy(own[reach + c, e], places[r, c])
            _run_columns(features, stream, past, opened, entering, above, c, (columns, residual, skip))
            add_product_each(outputs, features, output)
            for e in range(examples):
                add(outputs[e], around[2][e, r, c])
            first = (r * width + c) * books
            choice = (uniforms[:, first : first + books], temperature, top_k, top_p)
            _draw_codes(codes[:, r, c], own[reach + c], outputs, (told, seen, logits), choice, weights)
        for e in range(examples):
            for c in range(width):
                copy(line[e, (reach + c) * hidden : (reach + c + 1) * hidden], own[reach + c, e])


@part
@no_type_check
def _run_columns(features, stream, past, opened, entering, above, c, weights):
    """Run the horizontal stack for one column, from ``stream``, the inputs of the column to its left. It adds to ``features``.

    Overwrites ``stream``, ``opened`` and ``entering``, and stores the inputs of each layer in ``past``.
    """
    columns, residual, skip = weights
    layers, examples, hidden = opened.shape
    reach = columns.shape[1] // hidden - 1
    for i in range(layers):
        for e in range(examples):
            copy(past[i, reach + c, e], stream[e])
            copy(entering[e], above[e, i, c])
        for tap in range(reach + 1):
            add_product_each(entering, past[i, c + tap], columns[i, tap * hidden : (tap + 1) * hidden])
        for e in range(examples):
            gate_row(opened[i, e], entering[e])
        if i < layers - 1:
            add_product_each(stream, opened[i], residual[i])
    for i in range(layers):
        add_product_each(features, opened[i], skip[i * hidden : (i + 1) * hidden])
    for e in range(examples):
        relu(features[e], features[e])


@part
@no_type_check
def _draw_codes(codes, own, outputs, buffers, choice, weights):
    """Draw the unknown codes of one position from ``outputs``, and add the embeddings of all its codes to ``own``."""
    embedding, (earlier, logits_matrix, logits_bias) = weights[0], weights[9:]
    told, seen, logits = buffers
    uniforms, temperature, top_k, top_p = choice
    examples, books = codes.shape
    units = told.shape[1]
    told[:] = ZERO
    for book in range(books):
        for e in range(examples):
            copy(seen[e], outputs[e, book * units : (book + 1) * units])
            add(seen[e], told[e])
            relu(seen[e], seen[e])
            copy(logits[e], logits_bias[book])
        if codes[:, book].min() < 0:
            add_product_each(logits, seen, logits_matrix[book])
        for e in range(examples):
            if codes[e, book] < 0:
                codes[e, book] = draw_code(logits[e], uniforms[e, book], temperature, top_k, top_p)
            add(own[e], embedding[book, codes[e, book]])
            if book < books - 1:
                add(told[e], earlier[book, codes[e, book]])


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
