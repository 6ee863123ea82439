"""Codes with a fixed number of bits each: no statistics, the fastest mode."""

import math

import numpy as np
from jaxtyping import Float64, Int64

from vqvae.codec.entropy import EntropyCoder, check_length
from vqvae.data.base import Condition
from vqvae.errors import BitstreamError

_BLOCK = 2**16
"""Codes that are packed at a time; a multiple of 8, so that each block ends with a whole byte."""


class PackedCoder(EntropyCoder):
    """ceil(log2 K) bits per code, in raster order, each codebook after the other. The highest bit comes first; zeros fill the last byte."""

    name = "packed"

    @property
    def bits(self) -> int:
        """Bits per code."""
        return (self.codebook_size - 1).bit_length()

    def _costs(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> Float64[np.ndarray, "codebooks *space"]:
        return np.full(codes.shape, float(self.bits))

    def _encode(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> bytes:
        flat, shifts = codes.reshape(-1), np.arange(self.bits)[::-1]
        blocks = (flat[start : start + _BLOCK, None] for start in range(0, flat.size, _BLOCK))
        return b"".join(np.packbits((block >> shifts & 1).astype(np.uint8)).tobytes() for block in blocks)

    def _decode(self, data: bytes, shape: tuple[int, ...], condition: Condition) -> Int64[np.ndarray, "codebooks *space"]:
        count, packed = math.prod(shape), np.frombuffer(data, np.uint8)
        check_length(data, -(-count * self.bits // 8))
        codes, shifts = np.empty(count, np.int64), np.arange(self.bits)[::-1]
        for start in range(0, count, _BLOCK):
            block = codes[start : start + _BLOCK]
            bits = np.unpackbits(packed[start * self.bits // 8 :][: -(-block.size * self.bits // 8)])
            bits, rest = np.split(bits, [block.size * self.bits])
            block[:] = (bits.reshape(-1, self.bits).astype(np.int64) << shifts).sum(1)
            if block.max() >= self.codebook_size or rest.any():
                raise BitstreamError(f"The bytes are not codes from 0 to {self.codebook_size - 1}. The file is damaged: get another copy.")
        return codes.reshape(shape)
