"""The bytes of a ``.vqz`` file: a header, then sections of entropy-coded codes. docs/reference/bitstream.md describes every byte.

This module knows no model and no entropy coder. It checks every number before it is used, and no allocation is larger than what the file
itself holds. Checksums are zlib's CRC-32: CRC-32C finds the same errors in sections of this size, and Python has no fast one.
"""

import dataclasses
import itertools
import math
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from typing import NamedTuple

from vqvae.codes import Level, space_of
from vqvae.errors import BitstreamError, ConfigError
from vqvae.signals import Signal

MAGIC = b"\x89VQZ"
VERSION = 1
SUFFIX = ".vqz"
MODES = ("packed", "static", "prior")
"""The entropy coders, from the fastest to the one with the smallest files. The number of a mode in a file is its place here."""
FINGERPRINT = 8
"""Bytes of a fingerprint."""
MOST_CODES = 2**24
"""The largest number of codes in a section."""
_START = struct.Struct("<4sBHB8s8s")
_CRC = struct.Struct("<I")
_DOUBLE = struct.Struct("<d")
_AXES = ("", "time", "height", "width")
"""Axes with a number of their own. The number 0 stands before any other name."""
_UNIT_BOUNDS, _OTHER_BOUNDS, _WHOLE_RATE, _OTHER_RATE = 1, 2, 4, 8
_MOST_AXES, _MOST_LEVELS, _LONGEST_NAME, _LARGEST = 8, 64, 255, 2**63 - 1
_BYTES_PER_CODE, _BYTES_PER_SECTION = 8, 64
"""The most that an entropy coder may need."""
_ADVICE = "Compress the original again, or get another copy of the file."


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file says about its codes."""

    mode: str
    """The entropy coder: one of ``MODES``. Sections that it would make larger are packed."""
    model: bytes
    """The fingerprint of the tokenizer; see ``vqvae.codec.fingerprint``."""
    coder: bytes = bytes(FINGERPRINT)
    """The fingerprint of the entropy coder's tables; zeros if it has none."""
    signal: Signal
    """The signal of the data."""
    layout: tuple[Level, ...]
    """The levels of codes, the coarsest first."""
    size: tuple[int, ...]
    """The length of each axis of the data."""
    label: int | None = None
    """The number of the class or the speaker, if known."""
    rows: int = 0
    """The length of a section along the first axis of the codes; 0: all codes of a level are one section."""
    space: tuple[tuple[int, ...], ...] = ()
    """The space of the codes of each level, if there are several. That of a single level follows from the size."""

    def spaces(self) -> tuple[tuple[int, ...], ...]:
        """The space of each level's codes."""
        return self.space or tuple(space_of(self.size, level.stride, level.lead) for level in self.layout)

    def sections(self) -> "Iterator[Section]":
        """The sections of the file, in order."""
        for part in range(self.parts()):
            for number, (level, space) in enumerate(zip(self.layout, self.spaces(), strict=True)):
                length = min(self.rows, space[0] - part * self.rows) if self.rows else space[0] if space else 0
                yield Section(number, (level.num_codebooks, *((length, *space[1:]) if space else ())))

    def parts(self) -> int:
        """How many sections each level has."""
        return -(-self.spaces()[0][0] // self.rows) if self.rows else 1


class Section(NamedTuple):
    """A section of a file."""

    level: int
    """The number of the level of codes."""
    shape: tuple[int, ...]
    """The shape of the codes: (codebooks, *space)."""


def check_header(header: Header, error: type[Exception] = ConfigError, name: str = "The data") -> Header:
    """Return a header that a file can have.

    Raises:
        Exception: ``error``, if one of its numbers is out of range.
    """
    axes, signal = len(header.signal.axes), header.signal
    levels = [(level.num_codebooks, level.codebook_size, *level.stride) for level in header.layout]
    wrong = (
        axes > _MOST_AXES
        or not 0 < len(header.layout) <= _MOST_LEVELS
        or any(len(level.stride) != axes or len(level.lead) not in (0, axes) for level in header.layout)
        or len(header.size) != axes
        or len(header.space) != (len(header.layout) if len(header.layout) > 1 else 0)
        or any(len(space) != axes or 0 in space for space in header.space)
        or (header.rows and (len(header.layout) > 1 or not axes))
        or any(not 0 < number <= _LARGEST for level in levels for number in level)
        or any(before >= step for level in header.layout for before, step in zip(level.lead, level.stride, strict=False))
        or any(len(axis.encode()) > _LONGEST_NAME for axis in signal.axes)
    )
    if wrong:
        raise error(f"{name} cannot be stored: the axes, levels and strides of its header do not fit together. {_ADVICE}")
    if 0 in header.size:
        raise error(f"{name} holds nothing: its size is {_times(header.size)}. Give a longer example.")
    codes = max((math.prod(section.shape) for section in _first_sections(header)), default=0)
    if codes > MOST_CODES:
        raise error(
            f"{name} has {codes:,} codes in a section for the size {_times(header.size)}; at most {MOST_CODES:,} are allowed. "
            "Use smaller data, or a model with larger strides."
        )
    return header


def write_header(header: Header) -> bytes:
    """The bytes of a header.

    Raises:
        ConfigError: if the header has a number that is out of range.
    """
    check_header(header)
    signal = header.signal
    body = bytearray(_integer(len(signal.axes)))
    for axis in signal.axes:
        body += bytes([_AXES.index(axis)]) if axis in _AXES[1:] else b"\0" + _integer(len(axis.encode())) + axis.encode()
    body += _integer(signal.channels) + _integer(signal.levels or 0) + _values(signal)
    body += _integer(len(header.layout))
    for level in header.layout:
        body += b"".join(map(_integer, (level.num_codebooks, level.codebook_size, *level.stride, len(level.lead), *level.lead)))
    body += b"".join(map(_integer, (*header.size, *itertools.chain(*header.space))))
    body += _integer(0 if header.label is None else header.label + 1) + _integer(header.rows)
    length = _START.size + len(body) + _CRC.size
    start = _START.pack(MAGIC, VERSION, length, MODES.index(header.mode), header.model, header.coder)
    return start + body + _CRC.pack(zlib.crc32(start + body))


def read_header(file: BufferedIOBase, name: str) -> tuple[Header, int]:
    """The header of a file, and its checksum, from which the checksums of the sections start.

    Args:
        file: the file, at its first byte.
        name: what messages call it.

    Raises:
        BitstreamError: if the file is no ``.vqz`` file, is newer than this release, or has a damaged header.
    """
    start = file.read(_START.size)
    if start[: len(MAGIC)] != MAGIC[: len(start)] or not start:
        raise BitstreamError(f"{name} is not a compressed file: it starts with {start[:4]!r}. Give a file that 'vqvae compress' wrote.")
    if len(start) > len(MAGIC) and start[len(MAGIC)] != VERSION:
        raise BitstreamError(
            f"{name} has version {start[len(MAGIC)]} of the format; this release reads version {VERSION}. Install a newer release of vqvae."
        )
    if len(start) < _START.size:
        raise truncated(name)
    _, _, length, mode, model, coder = _START.unpack(start)
    rest = file.read(max(length - _START.size, 0))
    if len(rest) < length - _START.size:
        raise truncated(name)
    checksum = zlib.crc32(start + rest[: -_CRC.size])
    if len(rest) < _CRC.size or rest[-_CRC.size :] != _CRC.pack(checksum):
        raise BitstreamError(f"{name} is damaged: the checksum of its header is wrong. {_ADVICE}")
    if mode >= len(MODES):
        raise BitstreamError(f"{name} has the unknown mode {mode}. {_ADVICE}")
    reader = _Reader(rest[: -_CRC.size], name)
    signal = reader.signal()
    layout = tuple(reader.level(len(signal.axes)) for _ in range(reader.integer(_MOST_LEVELS)))
    size = tuple(reader.integer() for _ in signal.axes)
    space = tuple(tuple(reader.integer() for _ in signal.axes) for _ in layout) if len(layout) > 1 else ()
    label, rows = reader.integer(), reader.integer()
    reader.end()
    found = Header(mode=MODES[mode], model=model, coder=coder, signal=signal, layout=layout, size=size, rows=rows, space=space)
    found = dataclasses.replace(found, label=label - 1 if label else None)
    return check_header(found, BitstreamError, name), checksum


def frame(mode: str, payload: bytes, number: int, checksum: int) -> bytes:
    """A section's bytes in the file: its mode, the length of its payload, the payload, and a checksum."""
    own = bytes([MODES.index(mode)])
    return own + _integer(len(payload)) + payload + _CRC.pack(_checksum(own + payload, number, checksum))


def read_sections(file: BufferedIOBase, header: Header, checksum: int, name: str) -> Iterator[tuple[Section, str, bytes]]:
    """The sections of a file with their modes and payloads, one by one. Nothing may follow the last one.

    Raises:
        BitstreamError: if the file is truncated, damaged or too long.
    """
    for number, section in enumerate(header.sections()):
        most = _BYTES_PER_CODE * math.prod(section.shape) + _BYTES_PER_SECTION
        own = file.read(1)
        if not own:
            raise truncated(name)
        if own[0] not in (0, MODES.index(header.mode)):
            raise BitstreamError(f"{name} is damaged: a section has the mode {own[0]}. {_ADVICE}")
        length = _read_integer(file, name)
        if length > most:
            raise BitstreamError(f"{name} is damaged: a section claims {length:,} bytes; at most {most:,} are possible. {_ADVICE}")
        payload, crc = file.read(length), file.read(_CRC.size)
        if len(payload) < length or len(crc) < _CRC.size:
            raise truncated(name)
        if crc != _CRC.pack(_checksum(own + payload, number, checksum)):
            raise BitstreamError(f"{name} is damaged: the checksum of section {number + 1} is wrong. {_ADVICE}")
        yield section, MODES[own[0]], payload
    if file.read(1):
        raise BitstreamError(f"{name} continues after its last section. It is damaged, or something was appended. {_ADVICE}")


def remaining(file: BufferedIOBase) -> int:
    """The number of bytes after the current one."""
    at = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(at)
    return end - at


def check_length(header: Header, remaining: int, name: str) -> None:
    """Raise BitstreamError if a file with this many bytes after its header cannot hold all sections: before any of them is read."""
    if remaining < header.parts() * len(header.layout) * (2 + _CRC.size):
        raise truncated(name)


def truncated(name: str) -> BitstreamError:
    """The error for a file that ends too early."""
    return BitstreamError(f"{name} is truncated: it ends before its last section does. {_ADVICE}")


class _Reader:
    """Reads the fields of a header, whose checksum is right, and refuses those that no writer makes."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.at, self.name = data, 0, name

    def take(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) < count:
            raise self.error()
        self.at += count
        return found

    def integer(self, most: int = _LARGEST) -> int:
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
            if shift > 56:
                raise self.error()
        # A number has one form only: no zeros at its end.
        if value > most or (byte == 0 and shift > 7):
            raise self.error()
        return value

    def level(self, axes: int) -> Level:
        books, size, *stride = (self.integer() for _ in range(2 + axes))
        return Level(books, size, tuple(stride), tuple(self.integer() for _ in range(self.integer(axes))))

    def signal(self) -> Signal:
        axes = tuple(self._axis() for _ in range(self.integer(_MOST_AXES)))
        channels, levels, (flags,) = self.integer(), self.integer(), self.take(1)
        low, high = (-1.0, 1.0) if flags & _UNIT_BOUNDS else (None, None)
        if flags & _OTHER_BOUNDS:
            low, high = (_DOUBLE.unpack(self.take(8))[0] for _ in range(2))
        rate: float | None = float(self.integer()) if flags & _WHOLE_RATE else None
        if flags & _OTHER_RATE:
            (rate,) = _DOUBLE.unpack(self.take(8))
        try:
            found = Signal(axes=axes, channels=channels, levels=levels or None, low=low, high=high, sample_rate=rate)
        except ConfigError as error:
            raise self.error() from error
        if _values(found)[0] != flags:
            raise self.error()
        return found

    def end(self) -> None:
        if self.at < len(self.data):
            raise self.error()

    def error(self) -> BitstreamError:
        return BitstreamError(f"{self.name} is damaged: its header is not valid. {_ADVICE}")

    def _axis(self) -> str:
        (number,) = self.take(1)
        if number >= len(_AXES):
            raise self.error()
        try:
            return _AXES[number] or self.take(self.integer(_LONGEST_NAME)).decode()
        except UnicodeDecodeError as error:
            raise self.error() from error


def _first_sections(header: Header) -> Iterable[Section]:
    """The sections of the first part, which are the largest."""
    for section, _ in zip(header.sections(), header.layout, strict=False):
        yield section


def _values(signal: Signal) -> bytes:
    """The bounds and the sample rate of a signal, after a byte that says how they are stored."""
    flags, body, rate = 0, b"", signal.sample_rate
    if (signal.low, signal.high) == (-1, 1):
        flags |= _UNIT_BOUNDS
    elif signal.low is not None:
        flags, body = flags | _OTHER_BOUNDS, _DOUBLE.pack(signal.low) + _DOUBLE.pack(signal.high)
    if rate is not None and rate == int(rate) <= _LARGEST:
        flags, body = flags | _WHOLE_RATE, body + _integer(int(rate))
    elif rate is not None:
        flags, body = flags | _OTHER_RATE, body + _DOUBLE.pack(rate)
    return bytes([flags]) + body


def _integer(value: int) -> bytes:
    """A number below 2^63 as LEB128: seven bits a byte, the lowest first; the high bit says that another byte follows."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes(found) + bytes([value])


def _read_integer(file: BufferedIOBase, name: str) -> int:
    """The length of a section."""
    found = b""
    while not found or (found[-1] > 127 and len(found) < 9):
        byte = file.read(1)
        if not byte:
            raise truncated(name)
        found += byte
    return _Reader(found, name).integer()


def _checksum(content: bytes, number: int, checksum: int) -> int:
    """The CRC-32 of a section. It also covers the header and the section's number, so that no section can take another's place."""
    return zlib.crc32(content, zlib.crc32(_CRC.pack(number % 2**32), checksum))


def _times(size: tuple[int, ...]) -> str:
    return " × ".join(f"{length:,}" for length in size) or "1"
