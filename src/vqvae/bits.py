"""Nats to bits: all conversions are here."""

import math
from typing import TypeVar

from torch import Tensor

Number = TypeVar("Number", float, Tensor)


def bits(nats: Number) -> Number:
    """Nats as bits; a bit is log 2 nats."""
    return nats / math.log(2)


def bits_per_dim(nats: Number, dims: int) -> Number:
    """−log₂ p(x) per dimension: what an ideal coder spends on one channel of one pixel.

    Args:
        nats: −log p(x), or an upper bound on it such as −ELBO, of one or several examples.
        dims: the number of values of these examples, over all channels and positions.
    """
    return bits(nats) / dims


def bits_per_code(nats: Number, codes: int) -> Number:
    """−log₂ p(z) per code.

    Args:
        nats: −log p(z) of one or several examples.
        codes: the number of codes of these examples, over all codebooks and positions.
    """
    return bits(nats) / codes
