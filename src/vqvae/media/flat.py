"""Tokens as one flat file with an index, as programs that train language models read them.

``NAME.bin`` has the tokens of all items one after another, little-endian: uint16 if every token fits, else uint32. It has no header, so
``numpy.memmap`` reads it. ``NAME.idx`` says where each item lies. It is the index of Megatron's ``IndexedDataset``, little-endian too:

| bytes | what |
| --- | --- |
| 9 | ``MMIDIDX`` and two zero bytes |
| 8 | uint64: the version, 1 |
| 1 | uint8: the type of the tokens, 8 for uint16, 4 for uint32 (the index knows only int32; tokens stay below 2^31) |
| 8 | uint64: n, the number of items |
| 8 | uint64: n + 1 |
| 4 n | int32: the number of tokens of each item, begin and end tokens included |
| 8 n | int64: the first byte of each item in ``NAME.bin`` |
| 8 (n + 1) | int64: 0, 1, ..., n, for each item is a document of its own |

The tokens of an item are those of its levels, coarsest first, each (codebooks, *space) in C order. Every codebook has a range of its own.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from vqvae.disk import atomic, explained
from vqvae.errors import ConfigError, DataError
from vqvae.media.tokens import TokenLayout

SUFFIX = ".bin"
_HEADER = struct.Struct("<9sQBQQ")
_MAGIC, _VERSION = b"MMIDIDX\0\0", 1
_TYPES = {8: np.dtype("<u2"), 4: np.dtype("<u4")}
_LARGEST = 2**31 - 1
_ADVICE = "Choose another --out."


class Flat(NamedTuple):
    """A flat file, mapped into memory."""

    tokens: np.ndarray
    """The tokens of all items."""
    starts: np.ndarray
    """Where each item begins, and the end of the last one."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def item(self, number: int) -> np.ndarray:
        """The tokens of one item."""
        return self.tokens[self.starts[number] : self.starts[number + 1]]


class FlatWriter:
    """Writes items one by one; see ``flat_writer``."""

    def __init__(self, file: BinaryIO, layout: TokenLayout, begin: int | None, end: int | None) -> None:
        first = 0 if layout.offset is None else layout.offset
        self._layout = TokenLayout(levels=layout.levels, offset=first)
        codes = range(first, first + layout.count)
        for name, token in (("begin", begin), ("end", end)):
            if token is not None and (token in codes or not 0 <= token <= _LARGEST):
                raise ConfigError(
                    f"The {name} token is {token}; a number from 0 to {_LARGEST} outside {codes.start} to {codes.stop - 1} is expected, "
                    "which are the tokens of the codes."
                )
        largest = max(codes.stop - 1, begin or 0, end or 0)
        if largest > _LARGEST:
            raise ConfigError(f"The offset is {first}, so the largest token is {largest}; at most {_LARGEST} is expected.")
        self.code = 8 if largest < 2**16 else 4
        """The number of the type of the tokens in the index."""
        self.lengths = array("q")
        """The number of tokens of each item."""
        self._file, self._begin, self._end = file, begin, end

    def append(self, codes: Sequence[np.ndarray]) -> None:
        """Add an item: of each level its codes (codebooks, *space).

        Raises:
            DataError: if there are more tokens than an index can count.
        """
        parts = [level.ravel() for level in self._layout.to_tokens(codes)]
        ends = [[np.array([token])] if token is not None else [] for token in (self._begin, self._end)]
        tokens = np.concatenate([*ends[0], *parts, *ends[1]]).astype(_TYPES[self.code])
        if len(tokens) > _LARGEST:
            raise DataError(f"Item {len(self.lengths)} has {len(tokens)} tokens; the index counts up to {_LARGEST}.")
        self._file.write(tokens.tobytes())
        self.lengths.append(len(tokens))


def check_flat(path: Path) -> None:
    """Raise ConfigError unless a path is NAME.bin."""
    if path.suffix.lower() != SUFFIX:
        raise ConfigError(f"{path} ends in '{path.suffix}'; a flat file of tokens is NAME{SUFFIX}.")


@contextmanager
def flat_writer(path: Path, layout: TokenLayout, *, begin: int | None = None, end: int | None = None) -> Iterator[FlatWriter]:
    """Open NAME.bin and NAME.idx for writing. Both appear at the end, or neither if an error occurs. The index appears last.

    Args:
        path: NAME.bin.
        layout: the codes, and the offset of their tokens. Default: 0.
        begin, end: tokens before and after each item. Default: none.

    Raises:
        ConfigError: if the path has another suffix, or a token is not possible.
        DataError: if the files cannot be written.
    """
    check_flat(path)
    with atomic(index_of(path), DataError, _ADVICE) as index, atomic(path, DataError, _ADVICE) as partial:
        with partial.open("wb") as file:
            writer = FlatWriter(file, layout, begin, end)
            yield writer
        lengths = np.frombuffer(writer.lengths, np.int64)
        starts = np.cumsum(lengths) - lengths
        with index.open("wb") as file:
            file.write(_HEADER.pack(_MAGIC, _VERSION, writer.code, len(lengths), len(lengths) + 1))
            file.write(lengths.astype("<i4").tobytes())
            file.write((starts * _TYPES[writer.code].itemsize).astype("<i8").tobytes())
            file.write(np.arange(len(lengths) + 1).astype("<i8").tobytes())


def open_flat(path: Path) -> Flat:
    """Map a flat file into memory.

    Raises:
        DataError: if the files are missing or damaged, or the index describes another file.
    """
    index = index_of(path)
    with explained(DataError, index, "cannot be read", "Write the tokens again."):
        found = index.read_bytes()
        size = path.stat().st_size
    if len(found) < _HEADER.size:
        raise DataError(f"{index} has {len(found)} bytes; its header alone has {_HEADER.size}. Write the tokens again.")
    magic, version, code, count, documents = _HEADER.unpack_from(found)
    if (
        (magic, version) != (_MAGIC, _VERSION)
        or code not in _TYPES
        or documents != count + 1
        or len(found) != _HEADER.size + 20 * count + 8
    ):
        raise DataError(f"{index} is damaged, or this package did not write it. Write the tokens again.")
    kind = _TYPES[code]
    lengths = np.frombuffer(found, "<i4", count, _HEADER.size).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    pointers = np.frombuffer(found, "<i8", count, _HEADER.size + 4 * count)
    if (lengths < 0).any() or not np.array_equal(pointers, starts[:-1] * kind.itemsize) or size != starts[-1] * kind.itemsize:
        raise DataError(f"{path} has {size} bytes; its index describes {starts[-1] * kind.itemsize}. Write the tokens again.")
    return Flat(np.memmap(path, kind, "r") if size else np.empty(0, kind), starts)


def index_of(path: Path) -> Path:
    """The index of a flat file."""
    return path.with_suffix(".idx")
