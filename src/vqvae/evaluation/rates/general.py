"""Codes with general compressors: what the entropy coders of a model are compared with."""

import bz2
import lzma
import math
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Integer

from vqvae.codes import Codes
from vqvae.media.arrow import zstd_size

_FILTERS = [
    [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": lc, "lp": lp, "pb": pb}]
    for lc, lp, pb in ((3, 0, 2), (0, 1, 1), (3, 1, 1), (4, 0, 0))
]
COMPRESSORS: dict[str, Callable[[bytes], int | None]] = {
    "zlib": lambda data: len(zlib.compress(data, 9)),
    "bzip2": lambda data: len(bz2.compress(data, 9)),
    "lzma": lambda data: min(len(lzma.compress(data, lzma.FORMAT_RAW, filters=one)) for one in _FILTERS),
    "zstd": zstd_size,
}
"""Bytes of data with each compressor, at its smallest. None: not installed."""


class CodeBits:
    """Collects the codes of files, and the sizes of the files, to compare bits per code."""

    def __init__(self) -> None:
        self._codes: list[Codes] = []
        self._bytes: Counter[str] = Counter()

    def add(self, codes: Codes, sizes: Mapping[str, int]) -> None:
        """Add the codes of one file, and the bytes of the whole file in each mode."""
        self._codes.append(codes)
        self._bytes.update(sizes)

    def bits(self, codebook_sizes: Sequence[int]) -> dict[str, float]:
        """Bits per code in each mode, whole files with their headers, and with each compressor that is installed.

        A compressor gets the codes of all files at once, without a header; levels are compressed one by one.

        Args:
            codebook_sizes: K of each level.
        """
        sizes = dict(self._bytes)
        for level, size in enumerate(codebook_sizes):
            found = general_sizes([codes[level].cpu().numpy() for codes in self._codes], size)
            sizes |= {name: sizes.get(name, 0) + count for name, count in found.items()}
        count = sum(level.numel() for codes in self._codes for level in codes)
        return {name: 8 * size / count if count else math.nan for name, size in sizes.items()}


def general_sizes(codes: Sequence[Integer[np.ndarray, "_ codebooks ..."]], codebook_size: int) -> dict[str, int]:
    """Bytes of all codes of one level with each compressor that is installed, in the layout that suits it best.

    Args:
        codes: the codes of each file, or of several examples of one size.
        codebook_size: K.
    """
    words = [one.astype("<u2" if codebook_size <= 2**16 else "<u4") for one in codes]
    row = np.concatenate([one.reshape(-1) for one in words])
    bits = max(codebook_size - 1, 1).bit_length()
    layouts = [
        row.tobytes(),
        _planes(row),
        b"".join(_planes(example.reshape(-1)) for one in words for example in one),
        np.packbits((row[:, None] >> np.arange(bits)[::-1] & 1).astype(np.uint8)).tobytes(),
    ]
    found = {name: [compress(data) for data in layouts] for name, compress in COMPRESSORS.items()}
    return {name: min(size for size in sizes if size is not None) for name, sizes in found.items() if None not in sizes}


def _planes(row: Integer[np.ndarray, " codes"]) -> bytes:
    """The lowest bytes of all codes, then the next ones."""
    return np.ascontiguousarray(row[:, None].view(np.uint8).T).tobytes()
