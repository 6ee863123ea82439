"""Draw a code from its logits, given a uniform number."""

from typing import no_type_check

import numpy as np

from vqvae.layers.kernels.arithmetic import LARGEST, ZERO, exp, part


@part
@no_type_check
def draw_code(logits, uniform, temperature, top_k, top_p):
    """``vqvae.layers.autoregressive.draw`` for one row; overwrites the logits. 0 means no ``temperature``, or no ``top_k``."""
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
                logits[order[rank]] = ZERO
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


@part
@no_type_check
def _exp_or_zero(x):
    """e^x for x ≤ 0, and 0 if that is too small to be drawn."""
    return exp(x) if x > -LARGEST else ZERO
