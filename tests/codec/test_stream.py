"""Codes in sections, through entropy coders."""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from vqvae.codec import stream
from vqvae.codec.container import Header, read_header
from vqvae.codec.entropy import EntropyCoder
from vqvae.codec.packed import PackedCoder
from vqvae.codec.static import StaticCoder, frequencies_of
from vqvae.codec.stream import Spaces, read_codes, write_codes
from vqvae.codes import Codes, Level
from vqvae.errors import BitstreamError, ConfigError
from vqvae.signals import pictures, sound


def written(codes: list[Codes], header: Header, coders: Sequence[EntropyCoder]) -> bytes:
    file = io.BytesIO()

    def describe(rows: int, spaces: Spaces) -> Header:
        return dataclasses.replace(header, rows=rows, space=spaces)

    assert write_codes(file, codes, describe, coders, None) == len(file.getvalue())
    return file.getvalue()


def read(data: bytes, coders: Sequence[EntropyCoder]) -> list[Codes]:
    file = io.BytesIO(data)
    return [*read_codes(file, *read_header(file, "x.vqz"), coders, "x.vqz")]


SPEECH = Header(mode="packed", model=bytes(8), signal=sound(16_000.0), layout=(Level(2, 5, (16,)),), size=(1593,))
CODER = [PackedCoder(2, 5)]


@pytest.mark.parametrize("lengths", [(100,), (33, 0, 17, 50), (1,) * 100])
def test_sections_do_not_depend_on_the_blocks(lengths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SECTION", 64)
    codes = torch.randint(0, 5, (1, 2, 100), generator=torch.Generator().manual_seed(0))
    data = written([Codes([block]) for block in codes.split(lengths, 2)], SPEECH, CODER)
    parts = read(data, CODER)
    assert [part.tensor.shape[2] for part in parts] == [32, 32, 32, 4]
    assert torch.equal(torch.cat([part.tensor for part in parts], 2), codes)
    assert data == written([Codes([codes])], SPEECH, CODER)


def test_levels_are_whole_and_finer_ones_see_coarser_ones() -> None:
    header = Header(mode="packed", model=bytes(8), signal=pictures(), layout=(Level(1, 3, (4, 4)), Level(1, 9, (2, 2))), size=(8, 12))
    codes = Codes([torch.full((1, 1, 2, 3), 2), torch.full((1, 1, 4, 6), 8)])
    seen = []

    class Coder(PackedCoder):
        def encode(self, codes, condition):  # type: ignore[no-untyped-def, override]
            seen.append([tuple(one.shape) for one in condition.codes])
            return super().encode(codes, condition)

    coders = [Coder(1, 3), Coder(1, 9)]
    (part,) = read(written([codes], header, coders), coders)
    assert all(map(torch.equal, part, codes)) and seen == [[], [(1, 1, 2, 3)]]


def test_codes_that_do_not_fill_the_size_are_not_written() -> None:
    with pytest.raises(ConfigError, match="parts of codes"):
        written([], SPEECH, CODER)


def test_a_coder_that_fails_names_the_file() -> None:
    data = written([Codes([torch.zeros(1, 2, 100, dtype=torch.int64)])], SPEECH, CODER)
    with pytest.raises(BitstreamError, match=r"x\.vqz cannot be decoded"):
        read(data, [PackedCoder(2, 200)])


def test_sections_that_the_coder_makes_larger_are_packed() -> None:
    counts = np.ones((2, 5), np.int64)
    counts[:, 0] = 1000
    codes = torch.full((1, 2, 100), 4)
    header = dataclasses.replace(SPEECH, mode="static")
    coders = [StaticCoder(frequencies_of(counts))]
    data = written([Codes([codes])], header, coders)
    assert len(data) <= len(written([Codes([codes])], SPEECH, CODER)) < 150
    assert torch.equal(read(data, coders)[0].tensor, codes)
    easy = written([Codes([codes * 0])], header, coders)
    assert len(easy) < 70 and torch.equal(read(easy, coders)[0].tensor, codes * 0)
