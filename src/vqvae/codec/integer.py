"""A small causal prior whose probabilities are integers, the same on every machine.

The sum of a matrix per neighbour, a rectifier, a matrix, a rectifier, a matrix, and a table of e^x. Weights and activations are integers,
held in float64 where they are multiplied: sums of integers below 2^53 are exact in any order. ``fitting`` makes these integers once, after
a training in floating point.
"""

import hashlib
import json
import os
from dataclasses import field

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from vqvae.codec.context import around, given_rows, neighbours
from vqvae.config import CODEBOOK, check_at_least, settings, to_json
from vqvae.errors import CheckpointError, ConfigError

LARGEST_CODEBOOK = 2**16
"""The largest codebook that the prior is made for. Larger ones have frequencies alone."""
ACTIVATION, LARGEST_ACTIVATION = 9, 2**12
"""An activation of 1 is 2^9; larger ones than 8 are 8."""
LOGIT, EXPONENTIAL = 6, 20
"""A logit of 1 is 2^6, and the frequency of the most likely code is 2^20."""
_WIDEST = 2**12
_MOST_AXES, _MOST_TERMS = 8, 2**20
_TABLE = 2**10
"""The most entries of the table of e^x."""


@settings
class IntegerPriorConfig:
    """The codes, what they depend on, and the size of the network."""

    codebook_size: int = field(metadata=CODEBOOK)
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Codes per position."""
    axes: int = 2
    """Axes of space."""
    above_sizes: tuple[int, ...] = ()
    """The codebook sizes of the levels above."""
    above_codebooks: tuple[int, ...] = ()
    """The numbers of codebooks of the levels above."""
    strides: tuple[tuple[int, ...], ...] = ()
    """Data positions per code, of the levels above and, last, of this one. Empty without levels above."""
    classes: int = 0
    """Classes that codes depend on."""
    actions: int = 0
    """Actions between frames that codes depend on."""
    width: int = 32
    """Numbers per embedded code."""
    hidden: int = 128
    """Hidden units of both layers; 0: no network, only frequencies."""

    def build(self) -> "IntegerPrior":
        return IntegerPrior(self)

    @property
    def inputs(self) -> int:
        """Numbers that the context of a position consists of."""
        above = len(self.above_sizes) * len(around(self.axes))
        return (len(neighbours(self.axes)) + above) * self.width


class IntegerPrior(nn.Module):
    """The integers, as buffers. ``PriorCoder`` computes with them."""

    frequencies: Tensor
    shifts: Tensor
    exponentials: Tensor

    def __init__(self, config: IntegerPriorConfig) -> None:
        super().__init__()
        check_at_least(1, config, "codebook_size", "num_codebooks", "width")
        above = list(zip(config.above_codebooks, config.above_sizes, strict=False))
        if not len(config.above_sizes) == len(config.above_codebooks) == max(len(config.strides) - 1, 0):
            raise ConfigError("above_sizes, above_codebooks and strides describe different numbers of levels.")
        if max(config.width, config.hidden) > _WIDEST or config.axes > _MOST_AXES or config.inputs * config.num_codebooks > _MOST_TERMS:
            raise ConfigError(f"A coder of {config} has sums that float64 does not hold exactly. Choose a smaller width.")
        self.config = config
        books, codes, hidden = config.num_codebooks, config.codebook_size, config.hidden
        shapes: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {"frequencies": (torch.int32, (books, codes))}
        if hidden:
            shapes |= {
                "embedding": (torch.int16, (books, codes + 1, config.width)),
                "above": (torch.int16, (sum(count * (size + 1) for count, size in above), config.width)),
                "context": (torch.int16, (config.inputs, hidden)),
                "given": (torch.int64, (given_rows(config.axes, config.classes, config.actions), hidden)),
                "earlier": (torch.int16, (books, config.width, hidden)),
                "bias": (torch.int64, (books, hidden)),
                "middle": (torch.int16, (hidden, hidden)),
                "middle_bias": (torch.int64, (hidden,)),
                "output": (torch.int16, (books, hidden, codes)),
                "output_bias": (torch.int64, (books, codes)),
                "shifts": (torch.int32, (3,)),
                "exponentials": (torch.int32, (_TABLE,)),
            }
        for name, (dtype, shape) in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=dtype))

    @property
    def fingerprint(self) -> bytes:
        """A digest of all integers, 32 bytes."""
        digest = hashlib.sha256(json.dumps(to_json(self.config), sort_keys=True).encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode() + value.numpy().astype(f"<i{value.element_size()}").tobytes())
        return digest.digest()


class Network:
    """The integers of a prior as arrays, and their arithmetic. All floats are whole numbers below 2^53."""

    def __init__(self, prior: IntegerPrior) -> None:
        """Check that no sum can be larger than float64 holds exactly.

        Raises:
            CheckpointError: if one could, or a frequency is less than 1.
        """
        arrays = {name: value.numpy() for name, value in prior.state_dict().items()}
        self.exponentials = arrays["exponentials"].astype(np.int64)
        shifts, biases = arrays["shifts"], [arrays[name] for name in ("given", "bias", "middle_bias", "output_bias")]
        if not (self.exponentials.min() >= 1 and self.exponentials.max() <= 2**EXPONENTIAL and np.abs(shifts).max() <= 48):
            raise CheckpointError("The coder's table of e^x or its shifts are out of range. Train it again: vqvae train-coder RUN")
        if max(max(-int(one.min(initial=0)), int(one.max(initial=0))) for one in biases) > 2**48:
            raise CheckpointError("The coder's biases are too large for exact sums. Train it again: vqvae train-coder RUN")
        self.scales = np.ldexp(1.0, -shifts)
        """What sums are multiplied by, powers of two."""
        floats = {name: np.ascontiguousarray(arrays[name], np.float64) for name in arrays if name not in ("frequencies", "shifts")}
        self.embedding, self.above, self.context, self.given = (floats[name] for name in ("embedding", "above", "context", "given"))
        self.earlier, self.bias = floats["earlier"], floats["bias"]
        self.middle, self.middle_bias = floats["middle"], floats["middle_bias"]
        self.output, self.output_bias = floats["output"], floats["output_bias"]

    def embedded(self, codes: Int64[np.ndarray, "*positions codebooks"]) -> Float64[np.ndarray, "*positions width"]:
        """The sum of the embeddings of all codebooks; codes are 1 more than usual, and 0 is no code."""
        found = np.zeros((*codes.shape[:-1], self.embedding.shape[2]))
        for book, table in enumerate(self.embedding):
            found += table[codes[..., book]]
        return found

    def frequencies(
        self, context: Float64[np.ndarray, "positions hidden"], earlier: Float64[np.ndarray, "positions width"], book: int
    ) -> Int64[np.ndarray, "positions codes"]:
        """The frequency of every code of a codebook.

        Args:
            context: the sums of the first layer, without the bias of the codebook.
            earlier: the sum of the embeddings of the earlier codebooks at the position.
            book: the codebook.
        """
        first = self._rectified(context + product(earlier, self.earlier[book]) + self.bias[book], self.scales[0])
        second = self._rectified(product(first, self.middle) + self.middle_bias, self.scales[1])
        logits = np.floor((product(second, self.output[book]) + self.output_bias[book]) * self.scales[2] + 0.5)
        below = np.minimum(logits.max(1, keepdims=True) - logits, len(self.exponentials) - 1)
        return self.exponentials[below.astype(np.int64)]

    @staticmethod
    def _rectified(sums: Float64[np.ndarray, "positions hidden"], scale: np.float64) -> Float64[np.ndarray, "positions hidden"]:
        return np.clip(np.floor(sums * scale + 0.5), 0, LARGEST_ACTIVATION)


def product(left: Float64[np.ndarray, "rows inner"], right: Float64[np.ndarray, "inner columns"]) -> Float64[np.ndarray, "rows columns"]:
    """A product of matrices of whole numbers. torch computes it, with as many threads as it may use: NumPy's library starts its own, which
    take several times as much processor time for matrices of this size. But torch's threads do not survive a fork, and NumPy's do."""
    return left @ right if _is_forked else torch.mm(torch.from_numpy(left), torch.from_numpy(right)).numpy()


_is_forked = False


def _after_fork() -> None:
    global _is_forked
    _is_forked = True


if hasattr(os, "register_at_fork"):  # Not on Windows.
    os.register_at_fork(after_in_child=_after_fork)
