"""Files of tokens: every format gives back what was written, and refuses what it did not write."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vqvae.errors import ConfigError, DataError
from vqvae.media.tokens import SUFFIXES, TokenLayout, Tokens, check_suffix, read_tokens, write_tokens

LAYOUT = TokenLayout(levels=((1, 300), (2, 16)))


def rows(layout: TokenLayout = LAYOUT) -> list[Tokens]:
    """Three files of different sizes."""
    random = np.random.default_rng(0)
    made = []
    for number, (height, width) in enumerate([(1, 2), (3, 1), (2, 2)]):
        codes = [random.integers(0, 300, (1, height, width)), random.integers(0, 16, (2, 2 * height, 2 * width))]
        made.append(Tokens(name=f"a/ü{number}.png", size=(8 * height, 8 * width - 1), levels=tuple(layout.to_tokens(codes))))
    return made


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("offset", [None, 0, 100_000])
def test_what_is_written_is_read(suffix: str, offset: int | None, tmp_path: Path) -> None:
    layout = TokenLayout(levels=LAYOUT.levels, offset=offset)
    path = tmp_path / f"tokens{suffix}"
    assert write_tokens(path, iter(rows(layout)), layout) == 3
    found, read = read_tokens(path)
    assert found == layout and [(row.name, row.size) for row in read] == [(row.name, row.size) for row in rows()]
    for row, plain in zip(read, rows(), strict=True):
        for codes, expected in zip(layout.to_codes(row.levels, "here"), plain.levels, strict=True):
            assert codes.dtype == np.int64 and np.array_equal(codes, expected)


def test_an_offset_gives_each_codebook_a_range_of_its_own() -> None:
    layout = TokenLayout(levels=LAYOUT.levels, offset=1000)
    first, second = layout.to_tokens([np.zeros((1, 3), int), np.zeros((2, 6), int)])
    assert first.tolist() == [[1000] * 3] and second.tolist() == [[1300] * 6, [1316] * 6]
    assert first.dtype == np.uint16


def test_tokens_take_the_smallest_type() -> None:
    kinds = [TokenLayout(levels=((1, size),)).to_tokens([np.zeros((1, 1), int)])[0].dtype for size in (256, 257, 65536, 65537)]
    assert kinds == [np.uint8, np.uint16, np.uint16, np.uint32]


def test_tokens_of_another_model_are_refused() -> None:
    with pytest.raises(DataError, match=r"here holds codes from 0 to 299.*0 to 15"):
        TokenLayout(levels=((1, 16),)).to_codes([np.array([[0, 299]])], "here")
    with pytest.raises(DataError, match="codebooks a level"):
        LAYOUT.to_codes([np.zeros((1, 2))], "here")


@pytest.mark.parametrize("offset", [-1, 2**63])
def test_an_offset_out_of_range_is_refused(offset: int) -> None:
    with pytest.raises(ConfigError, match="offset"):
        TokenLayout(levels=((1, 2),), offset=offset)


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="npz"):
        check_suffix(tmp_path / "tokens.csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"tokens{suffix}"
    with pytest.raises(DataError, match="There is no file"):
        read_tokens(path)
    write_tokens(path, rows(), LAYOUT)
    whole = path.read_bytes()
    half = len(whole) // 2
    flipped = whole[:half] + b"\xff" * 40 + whole[half + 40 :]
    for damaged in (b"", b"{}\n", b"x" * len(whole), whole[:half], flipped):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"tokens{suffix}"):
            read_tokens(path)


def test_lines_of_two_models_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.jsonl"
    write_tokens(path, rows(), LAYOUT)
    line = {**json.loads(path.read_text().splitlines()[0]), "offset": 5}
    path.write_text(path.read_text() + json.dumps(line) + "\n")
    with pytest.raises(DataError, match="line 4"):
        read_tokens(path)


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    def broken() -> Iterator[Tokens]:
        yield rows()[0]
        raise DataError("b.png cannot be read.")

    for suffix in SUFFIXES:
        with pytest.raises(DataError, match=r"b\.png"):
            write_tokens(tmp_path / f"tokens{suffix}", broken(), LAYOUT)
    assert list(tmp_path.iterdir()) == []
