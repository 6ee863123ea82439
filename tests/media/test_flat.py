"""Flat files of tokens: every byte as documented, whole or not at all, and damage is found."""

import struct
from pathlib import Path

import numpy as np
import pytest

from vqvae.errors import ConfigError, DataError
from vqvae.media.flat import flat_writer, open_flat
from vqvae.media.tokens import TokenLayout

LAYOUT = TokenLayout(levels=((2, 5), (1, 7)), offset=100)
ITEMS = [
    [np.array([[0, 4], [1, 2]]), np.array([[6, 0, 3]])],
    [np.array([[3], [0]], np.uint8), np.array([[1, 1]], np.uint8)],
]
TOKENS = [[100, 104, 106, 107, 116, 110, 113], [103, 105, 111, 111]]


def write(path: Path, layout: TokenLayout = LAYOUT, **ends: int) -> None:
    with flat_writer(path, layout, **ends) as writer:
        for item in ITEMS:
            writer.append(item)


def test_the_bytes_are_those_of_the_documentation(tmp_path: Path) -> None:
    write(tmp_path / "a.bin", begin=0, end=1)
    expected = [[0, *item, 1] for item in TOKENS]
    assert (tmp_path / "a.bin").read_bytes() == np.array(sum(expected, []), "<u2").tobytes()
    index = struct.pack("<9sQBQQ2i2q3q", b"MMIDIDX\0\0", 1, 8, 2, 3, 9, 6, 0, 18, 0, 1, 2)
    assert (tmp_path / "a.idx").read_bytes() == index


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.bin")
    found = open_flat(tmp_path / "a.bin")
    assert [found.item(number).tolist() for number in range(len(found))] == TOKENS
    assert isinstance(found.tokens, np.memmap) and found.tokens.dtype == np.uint16
    with flat_writer(tmp_path / "none.bin", LAYOUT):
        pass
    assert len(open_flat(tmp_path / "none.bin")) == 0


def test_many_tokens_need_more_bytes(tmp_path: Path) -> None:
    for offset, kind in ((2**16 - 17, np.uint16), (2**16 - 16, np.uint32), (2**31 - 17, np.uint32)):
        write(tmp_path / "a.bin", TokenLayout(levels=LAYOUT.levels, offset=offset))
        found = open_flat(tmp_path / "a.bin")
        assert found.tokens.dtype == kind and found.item(1).tolist() == [token - 100 + offset for token in TOKENS[1]]
    write(tmp_path / "a.bin", end=2**16)
    assert open_flat(tmp_path / "a.bin").tokens.dtype == np.uint32
    with pytest.raises(ConfigError, match="largest token is 2147483648"):
        write(tmp_path / "b.bin", TokenLayout(levels=LAYOUT.levels, offset=2**31 - 16))


def test_without_an_offset_codebooks_still_have_ranges_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "a.bin", TokenLayout(levels=LAYOUT.levels))
    assert open_flat(tmp_path / "a.bin").item(1).tolist() == [token - 100 for token in TOKENS[1]]


@pytest.mark.parametrize("ends", [{"begin": 100}, {"end": 116}, {"begin": -1}, {"end": 2**31}])
def test_tokens_at_the_ends_are_no_codes(tmp_path: Path, ends: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"token is .*outside 100 to 116"):
        write(tmp_path / "a.bin", **ends)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_an_interruption(tmp_path: Path) -> None:
    write(tmp_path / "a.bin")
    before = (tmp_path / "a.bin").read_bytes()
    with pytest.raises(KeyboardInterrupt), flat_writer(tmp_path / "a.bin", LAYOUT) as writer:
        writer.append(ITEMS[0])
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.idx"] and (tmp_path / "a.bin").read_bytes() == before
    with pytest.raises(ConfigError, match=r"NAME\.bin"), flat_writer(tmp_path / "a.npy", LAYOUT):
        pass


@pytest.mark.parametrize("damage", [lambda index: index[:20], lambda index: index[:-1], lambda index: b"X" + index[1:],
                                    lambda index: index[:34] + b"\x01" + index[35:]])  # fmt: skip
def test_damage_is_found(tmp_path: Path, damage) -> None:
    write(tmp_path / "a.bin")
    index = (tmp_path / "a.idx").read_bytes()
    (tmp_path / "a.idx").write_bytes(damage(index))
    with pytest.raises(DataError, match="Write the tokens again"):
        open_flat(tmp_path / "a.bin")
    (tmp_path / "a.idx").write_bytes(index)
    (tmp_path / "a.bin").write_bytes(b"12")
    with pytest.raises(DataError, match="has 2 bytes; its index describes 22"):
        open_flat(tmp_path / "a.bin")
    (tmp_path / "a.idx").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        open_flat(tmp_path / "a.bin")
