"""Codes with one frequency each, the same at every position: a histogram of the training codes. The fast mode."""

import hashlib
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64, Integer

from vqvae.codec.entropy import EntropyCoder
from vqvae.codec.range_coder import RangeDecoder, RangeEncoder, Table, starts_of, table_of
from vqvae.data.base import Condition
from vqvae.errors import CheckpointError, ConfigError

TOTAL = 2**28
"""The sum of the frequencies of a codebook."""
_BLOCK = 2**16
"""Codes that are looked up at a time."""


class StaticCoder(EntropyCoder):
    """Range coding with the frequencies of each codebook. The codebooks follow one after the other, each in raster order."""

    name = "static"

    def __init__(self, frequencies: Integer[np.ndarray, "codebooks codes"]) -> None:
        """Check the frequencies.

        Raises:
            CheckpointError: if one is less than 1, or their sum is not ``TOTAL``.
        """
        super().__init__(*frequencies.shape)
        frequencies = np.ascontiguousarray(frequencies, np.int64)
        if not (frequencies.min() >= 1 and frequencies.max() <= TOTAL and (frequencies.sum(1) == TOTAL).all()):
            raise CheckpointError(f"Frequencies of codes must be at least 1, and their sum {TOTAL}. Train the coder again.")
        self._starts = starts_of(frequencies)

    @property
    def fingerprint(self) -> bytes:
        """A digest of the frequencies."""
        return hashlib.sha256(f"static {self._starts.shape}".encode() + self._starts.astype("<i8").tobytes()).digest()

    @cached_property
    def _tables(self) -> list[Table]:
        """The table of each codebook. To make one takes as long as to decode some thousand codes."""
        return [table_of(starts) for starts in self._starts]

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
        for table, book in zip(self._tables, codes.reshape(len(codes), -1), strict=True):
            book[:] = decoder.take(table, book.size)
        decoder.finish()
        return codes


def frequencies_of(counts: Int64[np.ndarray, "codebooks codes"]) -> Int64[np.ndarray, "codebooks codes"]:
    """Frequencies from counts, none 0. They are computed with integers alone.

    Raises:
        ConfigError: if there are more codes than frequencies can tell apart.
    """
    if counts.shape[1] > TOTAL // 2:
        raise ConfigError(f"Codebooks of {counts.shape[1]} codes are too large for an entropy coder; the most are {TOTAL // 2}.")
    smoothed = 2 * counts + 1
    smoothed = np.maximum(smoothed >> max(int(smoothed.sum(1).max()).bit_length() - 34, 0), 1)
    frequencies = np.maximum(smoothed * (TOTAL - counts.shape[1]) // smoothed.sum(1, keepdims=True), 1)
    # What rounding leaves goes to the most frequent code.
    np.put_along_axis(frequencies, best := frequencies.argmax(1)[:, None], 0, axis=1)
    np.put_along_axis(frequencies, best, TOTAL - frequencies.sum(1, keepdims=True), axis=1)
    return frequencies
