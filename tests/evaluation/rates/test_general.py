"""Codes with general compressors."""

import lzma
import zlib

import numpy as np
import pytest
import torch

from vqvae.codes import Codes
from vqvae.evaluation.rates import general
from vqvae.evaluation.rates.general import CodeBits, general_sizes
from vqvae.media import arrow


def test_each_compressor_has_the_layout_that_suits_it_best() -> None:
    draws = np.random.default_rng(0)
    random, same = draws.integers(0, 512, (2, 1, 40, 40)), np.full((2, 1, 40, 40), 300)
    sizes = general_sizes([random], 512)
    assert {"zlib", "bzip2", "lzma"} <= sizes.keys()
    # 3,200 codes of 9 bits cannot shrink. Only packed bits are near 3,600 bytes; words of 16 bits hold a bit that is always 0.
    assert all(3600 <= size < 3900 for size in (sizes["zlib"], sizes["lzma"]))
    assert all(size < 100 for size in general_sizes([same], 512).values())
    assert sizes["zlib"] <= len(zlib.compress(random.astype("<u2").tobytes(), 9))
    assert sizes["lzma"] <= len(lzma.compress(random.astype("<u2").tobytes(), lzma.FORMAT_RAW, filters=general._FILTERS[0]))


def test_codes_beyond_16_bits_keep_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(general, "COMPRESSORS", {"none": lambda data: seen.append(data) or len(data)})
    general_sizes([np.array([[[70_000, 1]]]), np.array([[[2]]])], 2**17)
    assert np.frombuffer(seen[0], "<u4").tolist() == [70_000, 1, 2]
    assert seen[1] == bytes([112, 1, 2, 17, 0, 0, 1, 0, 0, 0, 0, 0]) and len(seen[3]) == -(-3 * 17 // 8)


def test_bits_per_code_count_all_files_and_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(general, "COMPRESSORS", {"plain": len, "absent": lambda data: None})
    collected = CodeBits()
    for side, size in ((2, 10), (4, 26)):
        top, bottom = torch.zeros(1, 1, side, side).long(), torch.zeros(1, 1, 2 * side, 2 * side).long()
        collected.add(Codes([top, bottom]), {"packed": size})
    bits = collected.bits([256, 2])
    assert bits["packed"] == 8 * 36 / 100 and bits["plain"] == 8 * (20 + 10) / 100 and "absent" not in bits


def test_zstd_is_left_out_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    assert arrow.zstd_size(bytes(1000)) < 100

    def absent() -> None:
        raise arrow.MissingExtraError("pyarrow", "parquet")

    monkeypatch.setattr(arrow, "parquet_modules", absent)
    assert arrow.zstd_size(bytes(1000)) is None
