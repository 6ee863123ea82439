"""A range coder of integer frequencies. It writes the same bytes on every machine.

A code with the frequencies ``start`` (those of all smaller codes together), ``size`` (its own) and ``total`` narrows an interval [low, low
+ width) of 56-bit integers to the share ``size / total`` that begins at ``start / total``. Leading bytes that no later code can change,
except by a carry, are written as soon as the width is less than 2^48. One last byte ends the message; the decoder reads zeros after it.

A message is at most 1 byte longer than the sum of log2(total / size) of its codes, apart from the rounding of ``width // total``, which
costs less than 2^-20 bits per code as long as totals are less than 2^28.

The loops are plain Python, and numba compiles the same functions if it is installed. All numbers stay less than 2^63, so Python's integers
and those of a processor agree.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple, no_type_check

import numpy as np
from jaxtyping import Int64

from vqvae.errors import BitstreamError

TOP, BOTTOM, BYTE_AT = 1 << 56, 1 << 48, 48
"""The bounds of the width, and the place of the byte that is written."""
LARGEST_TOTAL = 1 << 40
"""The bound of a sum of frequencies."""
_BYTES_PER_CODE = 6
"""The most bytes that one code writes: 40 bits, after rounding."""
_BUCKETS = 14
"""The logarithm of the largest number of entries of the table that finds codes."""
_BLOCK = 2**15
"""Codes that are encoded or decoded at a time."""


@no_type_check
def encode_codes(state, out, starts, sizes, totals):
    """Encode codes.

    Args:
        state: [low, width, bytes written]; changed.
        out: the bytes so far, with room for ``_BYTES_PER_CODE`` more per code; changed.
        starts, sizes, totals: the frequencies of the codes.
    """
    low, width, length = state[0], state[1], state[2]
    for i in range(len(starts)):
        unit = width // totals[i]
        low += unit * starts[i]
        width = unit * sizes[i]
        if low >= TOP:
            low -= TOP
            j = length - 1
            while out[j] == 255:
                out[j] = 0
                j -= 1
            out[j] += 1
        while width < BOTTOM:
            out[length] = low >> BYTE_AT
            low = (low & (BOTTOM - 1)) << 8
            width <<= 8
            length += 1
    state[0], state[1], state[2] = low, width, length


@no_type_check
def take_code(offset, width, place, data, start, size, unit):
    """Remove a code from the front of a message.

    Args:
        offset, width, place: the state of the decoder: the distance to ``low``, the width, and the number of bytes read.
        data: the message.
        start, size: the frequencies of the code.
        unit: the width divided by the total.

    Returns:
        The new state.
    """
    offset -= unit * start
    width = unit * size
    while width < BOTTOM:
        offset <<= 8
        if place < len(data):
            offset |= data[place]
        width <<= 8
        place += 1
    return offset, width, place


def decode_with(take: Callable[..., Any]) -> Callable[..., int]:
    """The loop that decodes codes that share their frequencies, with ``take_code`` or its compiled form."""

    @no_type_check
    def decode_codes(state, data, starts, bits, buckets, shift, codes):
        """Fill ``codes``.

        Args:
            state: [offset, width, bytes read]; changed.
            data: the message.
            starts: for each code, the frequencies of all smaller ones together.
            bits: the logarithm of the total, a power of two: a shift is faster than a division.
            buckets: for each value of ``offset >> shift``, the code there.
            shift: see ``buckets``.
            codes: the result.

        Returns:
            The number of codes before the first impossible one.
        """
        offset, width, place = state[0], state[1], state[2]
        for i in range(len(codes)):
            unit = width >> bits
            at = offset // unit
            if at >> bits or place > len(data) + 6:
                return i
            code, last = buckets[at >> shift], buckets[(at >> shift) + 1]
            while code < last:
                middle = (code + last + 1) >> 1
                if starts[middle] <= at:
                    code = middle
                else:
                    last = middle - 1
            codes[i] = code
            offset, width, place = take(offset, width, place, data, starts[code], starts[code + 1] - starts[code], unit)
        state[0], state[1], state[2] = offset, width, place
        return len(codes)

    return decode_codes


class RangeEncoder:
    """Codes to bytes, block by block."""

    def __init__(self) -> None:
        self._state, self._out = np.array([0, TOP, 0], np.int64), np.zeros(2**10, np.uint8)

    def put(self, starts: Int64[np.ndarray, " codes"], sizes: Int64[np.ndarray, " codes"], totals: Int64[np.ndarray, " codes"]) -> None:
        """Encode codes by their frequencies; see the module."""
        for first in range(0, len(starts), _BLOCK):
            block = [np.ascontiguousarray(each[first : first + _BLOCK]) for each in (starts, sizes, totals)]
            needed = int(self._state[2]) + len(block[0]) * _BYTES_PER_CODE
            if needed > len(self._out):
                self._out = np.concatenate([self._out, np.zeros(needed, np.uint8)])
            if (fast := kernels()) is not None:
                fast.encode(self._state, self._out, *block)
            else:
                # Lists and bytes are faster than arrays, item by item.
                state, out = self._state.tolist(), bytearray(self._out.tobytes())
                PLAIN.encode(state, out, *(each.tolist() for each in block))
                self._state, self._out = np.array(state, np.int64), np.frombuffer(out, np.uint8)

    def finish(self) -> bytes:
        """The message."""
        low, _, length = self._state.tolist()
        written, last = self._out[:length].tobytes(), -(-low // BOTTOM)
        if last > 255:
            written, last = (int.from_bytes(written, "big") + 1).to_bytes(length, "big"), 0
        return written + bytes([last])


class RangeDecoder:
    """A message that codes are taken from, the first one first."""

    def __init__(self, data: bytes) -> None:
        self.data = np.frombuffer(data, np.uint8)
        """The message."""
        self.state = np.array([int.from_bytes(data[:7].ljust(7, b"\0"), "big"), TOP, 7], np.int64)
        """Offset, width, and bytes read; see ``take_code``."""

    def take(self, table: "Table", count: int) -> Int64[np.ndarray, " count"]:
        """Take codes that share their frequencies.

        Args:
            table: the frequencies.
            count: number of codes.

        Raises:
            BitstreamError: if the message does not have them.
        """
        starts, bits, shift, buckets = table
        fast, codes = kernels(), np.empty(count, np.int64)
        given = (self.data, starts, bits, buckets) if fast is not None else (self.data.tobytes(), starts.tolist(), bits, buckets.tolist())
        for first in range(0, count, _BLOCK):
            block = codes[first : first + _BLOCK]
            if fast is not None:
                found = fast.decode(self.state, *given, shift, block)
            else:
                state, plain = self.state.tolist(), block.tolist()
                found = PLAIN.decode(state, *given, shift, plain)
                self.state[:], block[:] = state, plain
            if found < len(block):
                raise BitstreamError(
                    f"The bytes end in code {first + found} of {count}, or are no codes of this model. Get another copy of the file."
                )
        return codes

    def finish(self) -> None:
        """Raise BitstreamError unless the message ends here, as ``RangeEncoder.finish`` would end it."""
        offset, _, read = self.state.tolist()
        if len(self.data) != read - 6 or offset >= BOTTOM:
            raise BitstreamError("The bytes do not end where their codes end. The file is damaged: get another copy.")


def starts_of(frequencies: Int64[np.ndarray, "*rows codes"]) -> Int64[np.ndarray, "*rows codes_and_one"]:
    """For each code, the frequencies of all smaller ones together; then the total."""
    starts = np.zeros((*frequencies.shape[:-1], frequencies.shape[-1] + 1), np.int64)
    np.cumsum(frequencies, axis=-1, out=starts[..., 1:])
    return starts


class Table(NamedTuple):
    """The frequencies of a codebook, prepared for decoding."""

    starts: Int64[np.ndarray, " codes_and_one"]
    """For each code, the frequencies of all smaller ones together; then the total."""
    bits: int
    """The logarithm of the total."""
    shift: int
    """The logarithm of the part of the total that an entry of ``buckets`` stands for."""
    buckets: Int64[np.ndarray, " buckets"]
    """For each part, the first code in it."""


def table_of(starts: Int64[np.ndarray, " codes_and_one"]) -> Table:
    """Prepare frequencies for decoding. Their total is a power of two."""
    bits = int(starts[-1]).bit_length() - 1
    assert starts[-1] == 1 << bits, "the total is a power of two"
    shift = max(bits - _BUCKETS, 0)
    buckets = np.searchsorted(starts[1:], np.arange((1 << bits >> shift) + 1, dtype=np.int64) << shift, side="right")
    return Table(starts, bits, shift, np.minimum(buckets, len(starts) - 2))


class Kernels(NamedTuple):
    """The loops, compiled or not."""

    encode: Callable[..., None]
    take: Callable[..., Any]
    decode: Callable[..., int]


PLAIN = Kernels(encode_codes, take_code, decode_with(take_code))
"""The loops without numba."""


@cache
def compiler() -> Callable[[Callable[..., Any]], Callable[..., Any]] | None:
    """What compiles a loop; None without numba."""
    if find_spec("numba") is None:
        return None
    from vqvae.layers.kernels.exact import compiled  # Here, because numba is an extra and slow to import.

    return compiled


@cache
def kernels() -> Kernels | None:
    """The compiled loops; None without numba."""
    compiled = compiler()
    if compiled is None:
        return None
    take = compiled(take_code)
    return Kernels(compiled(encode_codes), take, compiled(decode_with(take)))
