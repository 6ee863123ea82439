"""Compressed files of every kind and mode, damaged in ways that hypothesis chooses."""

import random
import zlib
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.containers import forged, is_refused, sealed, subjects
from tests.fuzz.payloads import damaged
from vqvae.pipeline import Pipeline

few = settings(max_examples=120, deadline=None, derandomize=True, database=None)


@cache
def files() -> list[tuple[Pipeline, bytes]]:
    return subjects()


def test_files_that_are_whole_are_restored_and_sealed_already():
    assert len(files()) == 10
    for model, data in files():
        assert not is_refused(model, data) and sealed(data) == data


@few
@given(st.integers(0, 9), st.randoms(use_true_random=False))
def test_a_damaged_file_is_refused(number: int, draws: random.Random):
    model, data = files()[number]
    changed = damaged(data, draws)
    assert is_refused(model, changed) == (changed != data)


@few
@given(st.integers(0, 9), st.booleans(), st.randoms(use_true_random=False))
def test_a_damaged_file_with_right_checksums_is_restored_or_refused(number: int, whole: bool, draws: random.Random):
    model, data = files()[number]
    is_refused(model, sealed(damaged(data, draws)) if whole else forged(data, draws))


def test_sealing_repairs_every_checksum():
    model, data = files()[1]
    length = int.from_bytes(data[5:7], "little")
    # Another fingerprint: the header's checksum is right again, so the model is found to be another one, not the header to be damaged.
    changed = data[:8] + bytes([data[8] ^ 1]) + data[9:]
    assert zlib.crc32(sealed(changed)[: length - 4]) == int.from_bytes(sealed(changed)[length - 4 : length], "little")
    assert is_refused(model, sealed(changed)) and sealed(sealed(changed)) == sealed(changed) != changed
    assert sealed(data[:20]) == data[:20]
