"""Codes with one frequency each, the same at every position: a histogram of the training codes. The fast mode."""

import hashlib

import numpy as np
from jaxtyping import Float64, Int64, Integer

from vqvae.codec.entropy import EntropyCoder
from vqvae.codec.range_coder import RangeDecoder, RangeEncoder, starts_of
from vqvae.data.base import Condition
from vqvae.errors import CheckpointError

LARGEST_TOTAL = 2**28
"""The largest sum of frequencies."""
_BLOCK = 2**16
"""Codes that are looked up at a time."""


class StaticCoder(EntropyCoder):
    """Range coding with the frequencies of each codebook. The codebooks follow one after the other, each in raster order."""

    name = "static"

    def __init__(self, frequencies: Integer[np.ndarray, "codebooks codes"]) -> None:
        """Check the frequencies.

        Raises:
            CheckpointError: if one is less than 1, or their sum is too large.
        """
        super().__init__(*frequencies.shape)
        frequencies = np.ascontiguousarray(frequencies, np.int64)
        if not (frequencies.min() >= 1 and frequencies.max() < LARGEST_TOTAL and frequencies.sum(1).max() <= LARGEST_TOTAL):
            raise CheckpointError(f"Frequencies of codes must be at least 1, and their sum at most {LARGEST_TOTAL}. Train the coder again.")
        self._starts = starts_of(frequencies)

    @property
    def fingerprint(self) -> bytes:
        """A digest of the frequencies."""
        return hashlib.sha256(f"static {self._starts.shape}".encode() + self._starts.astype("<i8").tobytes()).digest()

    def _costs(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> Float64[np.ndarray, "codebooks *space"]:
        bits = np.log2(self._starts[:, -1:] / np.diff(self._starts))
        return np.stack([table[book] for table, book in zip(bits, codes, strict=True)])

    def _encode(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> bytes:
        encoder = RangeEncoder()
        for starts, book in zip(self._starts, codes.reshape(len(codes), -1), strict=True):
            sizes = np.diff(starts)
            for first in range(0, book.size, _BLOCK):
                block = book[first : first + _BLOCK]
                encoder.put(starts[block], sizes[block], np.full(block.size, starts[-1]))
        return encoder.finish()

    def _decode(self, data: bytes, shape: tuple[int, ...], condition: Condition) -> Int64[np.ndarray, "codebooks *space"]:
        decoder, codes = RangeDecoder(data), np.empty(shape, np.int64)
        for starts, book in zip(self._starts, codes.reshape(len(codes), -1), strict=True):
            book[:] = decoder.take(starts, book.size)
        decoder.finish()
        return codes


def frequencies_of(counts: Int64[np.ndarray, "codebooks codes"]) -> Int64[np.ndarray, "codebooks codes"]:
    """Frequencies from counts, none 0: every code gets half a count more. Integers only."""
    doubled = 2 * counts
    shift = max(int(doubled.sum(1).max()).bit_length() - 27, 0)
    return (doubled >> shift) + 1
