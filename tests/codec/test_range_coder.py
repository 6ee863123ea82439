import math

import numpy as np
import pytest

from vqvae.codec import range_coder
from vqvae.codec.range_coder import RangeDecoder, RangeEncoder, starts_of, table_of
from vqvae.errors import BitstreamError


def encoded(codes: np.ndarray, starts: np.ndarray) -> bytes:
    encoder = RangeEncoder()
    encoder.put(starts[codes], np.diff(starts)[codes], np.full(codes.size, starts[-1]))
    return encoder.finish()


def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_coder, "kernels", lambda: None)


FREQUENCIES = {
    "even": np.full(8, 4),
    "almost certain": np.array([1, 2**20 - 2, 1]),
    "two": np.array([2**27, 2**27]),
    "many": np.append(np.arange(1, 1001), 2**19 - 500500),
    "large": np.array([1, 2**39 - 6, 5]),
}


@pytest.mark.parametrize("frequencies", FREQUENCIES.values(), ids=FREQUENCIES)
def test_bytes_with_and_without_numba_are_the_same_and_as_few_as_can_be(frequencies: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    starts, draws = starts_of(frequencies.astype(np.int64)), np.random.default_rng(0)
    likely = draws.choice(len(frequencies), 3000, p=frequencies / frequencies.sum())
    codes = np.concatenate([likely, draws.integers(len(frequencies), size=300)])
    data = encoded(codes, starts)
    bits = -np.log2(frequencies[codes] / frequencies.sum()).sum()
    assert bits / 8 <= len(data) <= bits / 8 + 2
    decoder = RangeDecoder(data)
    found = [decoder.take(table_of(starts), count) for count in (0, 1, 2000, 1299)]
    decoder.finish()
    assert np.array_equal(np.concatenate(found), codes)
    without_numba(monkeypatch)
    assert encoded(codes, starts) == data
    decoder = RangeDecoder(data)
    assert np.array_equal(decoder.take(table_of(starts), 3300), codes)
    decoder.finish()


def test_carries_reach_earlier_bytes() -> None:
    # The last of three codes, again and again, keeps the interval at the top, where bytes are 255 until a carry.
    starts = starts_of(np.array([3, 1, 2**20 - 4], np.int64))
    for tail in range(3):
        codes = np.array([2] * 40000 + [tail] * 9)
        decoder = RangeDecoder(encoded(codes, starts))
        assert np.array_equal(decoder.take(table_of(starts), codes.size), codes)
        decoder.finish()


def test_no_other_bytes_decode_to_the_same_codes() -> None:
    starts, codes = starts_of(np.array([5, 9, 2], np.int64)), np.array([0, 1, 1, 2, 0, 1])
    data = encoded(codes, starts)
    for other in (data[:-1], data + b"\0", data[:-1] + bytes([(data[-1] + 1) % 256]), data[:-1] + bytes([(data[-1] - 1) % 256]), b""):
        with pytest.raises(BitstreamError):
            decoder = RangeDecoder(other)
            if np.array_equal(decoder.take(table_of(starts), 6), codes):
                decoder.finish()
            else:
                raise BitstreamError("other codes")


def test_a_message_that_ends_too_early_is_an_error_at_once() -> None:
    with pytest.raises(BitstreamError, match=r"code \d+ of 1000000"):
        RangeDecoder(b"abc").take(table_of(starts_of(np.array([1, 1], np.int64))), 10**6)


def test_the_first_byte_of_no_codes() -> None:
    assert RangeEncoder().finish() == b"\0" and math.log2(range_coder.TOP) == 56
