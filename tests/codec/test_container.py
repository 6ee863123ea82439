"""The bytes of a compressed file, and the errors for all others."""

import dataclasses
import io
import random
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from vqvae.codec.container import MOST_CODES, Header, check_length, frame, read_header, read_sections, remaining, write_header
from vqvae.codes import Level
from vqvae.errors import BitstreamError, ConfigError
from vqvae.signals import Signal, pictures, sound

PICTURE = Header(mode="prior", model=b"modelxyz", coder=b"coderxyz", signal=pictures(), layout=(Level(1, 512, (4, 4)),), size=(4000, 6000))
HEADERS = {
    "picture": PICTURE,
    "speech": Header(
        mode="static", model=b"modelxyz", signal=sound(16_000.0), layout=(Level(2, 512, (64,)),), size=(2**40,), label=3, rows=2**16
    ),
    "clip": Header(
        mode="packed",
        model=b"modelxyz",
        signal=Signal(axes=("time", "height", "width"), channels=3, levels=256, sample_rate=29.97),
        layout=(Level(1, 1000, (4, 8, 8), (3, 0, 0)),),
        size=(17, 84, 84),
    ),
    "levels": dataclasses.replace(PICTURE, layout=(Level(1, 8, (8, 8)), Level(1, 16, (4, 4))), space=((500, 750), (1000, 1501))),
    "array": Header(
        mode="packed",
        model=b"modelxyz",
        signal=Signal(axes=("Höhe",), channels=70_000, low=-2.5, high=3.0),
        layout=(Level(8, 2**31, (1,)),),
        size=(1,),
    ),
    "vector": Header(mode="packed", model=b"modelxyz", signal=Signal(axes=(), channels=4), layout=(Level(1, 5, ()),), size=()),
}


TWO = HEADERS["levels"]


def read(data: bytes) -> tuple[Header, list[bytes]]:
    file = io.BytesIO(data)
    header, checksum = read_header(file, "x.vqz")
    check_length(header, remaining(file), "x.vqz")
    return header, [payload for _, _, payload in read_sections(file, header, checksum, "x.vqz")]


def write(header: Header, payloads: list[bytes]) -> bytes:
    start = write_header(header)
    return start + b"".join(frame(header.mode, one, number, zlib.crc32(start[:-4])) for number, one in enumerate(payloads))


def forged(header: Header, change: Any) -> bytes:
    """A header with other bytes after its fixed part, and a right checksum."""
    start = bytearray(write_header(header)[:-4])
    change(start)
    start[5:7] = struct.pack("<H", len(start) + 4)
    return bytes(start) + struct.pack("<I", zlib.crc32(start))


SMALL = dataclasses.replace(PICTURE, size=(9, 8))
FILE = write(SMALL, [b"some codes"])


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_is_read_back(name: str) -> None:
    header = HEADERS[name]
    data = write_header(header)
    found, checksum = read_header(io.BytesIO(data), "x.vqz")
    assert found == header and checksum == zlib.crc32(data[:-4])
    assert len(data) <= 64 or name == "array"


def test_the_bytes_are_those_of_the_document() -> None:
    data = write(SMALL, [b"ab"])
    body = bytes([2, 2, 3, 3, 128, 2, 0, 1, 1, 128, 4, 4, 4, 0, 9, 8, 0, 0])
    start = b"\x89VQZ" + bytes([1, 24 + len(body) + 4, 0, 2]) + b"modelxyzcoderxyz" + body
    checksum = zlib.crc32(start)
    section = zlib.crc32(b"\x02ab", zlib.crc32(bytes(4), checksum))
    assert data == start + struct.pack("<I", checksum) + b"\x02\x02ab" + struct.pack("<I", section)
    shown = (Path(__file__).parents[2] / "docs" / "reference" / "bitstream.md").read_text().split("```text\n")[1].split("```")[0]
    assert bytes.fromhex("".join(re.match(r"([0-9A-F]{2} +)*", line)[0] for line in shown.splitlines())) == data  # type: ignore[index]


def test_sections_follow_the_header() -> None:
    header = dataclasses.replace(SMALL, size=(40, 8), rows=4)
    assert [section.shape for section in header.sections()] == [(1, 4, 2), (1, 4, 2), (1, 2, 2)]
    assert read(write(header, [b"a", b"", b"ccc"])) == (header, [b"a", b"", b"ccc"])
    assert [section.shape for section in HEADERS["levels"].sections()] == [(1, 500, 750), (1, 1000, 1501)]
    assert [section.shape for section in HEADERS["vector"].sections()] == [(1,)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a compressed file"),
        (b"PNG and more", "not a compressed file"),
        (FILE[:3], "truncated"),
        (FILE[:20], "truncated"),
        (FILE[:40], "truncated"),
        (FILE[:-1], "truncated"),
        (FILE[:4] + b"\x02" + FILE[5:], "newer release"),
        (FILE[:8] + b"x" + FILE[9:], "checksum of its header"),
        (FILE[:-6] + b"x" + FILE[-5:], "checksum of section 1"),
        (FILE + b"x", "continues after"),
        (FILE[:46] + b"\x02\xff\xff\x03abcd", "claims"),
        (FILE[:46] + b"\x02" + b"\xff" * 9, "not valid"),
        (write(SMALL, []), "truncated"),
        (FILE[:46] + b"\x01" + FILE[47:], "a section has the mode 1"),
    ],
    ids=range(14),
)
def test_what_is_no_such_file_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(BitstreamError, match=words):
        read(data)


def test_a_section_cannot_take_the_place_of_another() -> None:
    header = dataclasses.replace(SMALL, size=(16, 8), rows=2)
    start, one, two = write_header(header), *(write(header, [b"aa", b"bb"])[len(write_header(header)) :][i : i + 8] for i in (0, 8))
    assert read(start + one + two)[1] == [b"aa", b"bb"]
    with pytest.raises(BitstreamError, match="section 1"):
        read(start + two + one)


def test_headers_with_a_right_checksum_and_wrong_numbers_are_refused() -> None:
    def put(place: int, value: bytes) -> bytes:
        return forged(SMALL, lambda start: start.__setitem__(slice(place, place + len(value)), value))

    huge = forged(SMALL, lambda start: start.__setitem__(slice(38, 40), b"\x80\x80\x80\x40" * 2))
    for data, words in (
        (huge, "codes in a section"),
        (put(7, b"\x07"), "unknown mode"),
        (put(24, b"\x09"), "not valid"),
        (put(25, b"\x04"), "not valid"),
        (put(30, b"\x10"), "not valid"),
        (put(30, b"\x03"), "not valid"),
        (put(32, b"\x00"), "do not fit"),
        (put(35, b"\x00"), "do not fit"),
        (put(38, b"\x00"), "holds nothing"),
        (put(26, b"\x02"), "not valid"),
        (forged(SMALL, lambda start: start.append(0)), "not valid"),
        (forged(SMALL, lambda start: start.pop()), "not valid"),
        (forged(SMALL, lambda start: start.__setitem__(slice(40, 41), b"\x80\x00")), "not valid"),
    ):
        with pytest.raises(BitstreamError, match=words):
            read(data)


def test_sizes_that_no_file_can_have_are_refused_before_they_are_read() -> None:
    header = dataclasses.replace(HEADERS["speech"], size=(10**12,), rows=1)
    with pytest.raises(BitstreamError, match="truncated"):
        read(write(header, [b"x"]))
    assert MOST_CODES < 10**12


@pytest.mark.parametrize(
    "change",
    [
        {"size": (0, 4)},
        {"size": (4,)},
        {"rows": 1, "layout": HEADERS["levels"].layout, "space": HEADERS["levels"].space},
        {"layout": ()},
        {"space": ((3, 2),)},
    ],
)
def test_headers_that_cannot_be_read_are_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        write_header(dataclasses.replace(SMALL, **change))


@pytest.mark.parametrize("seed", range(3))
def test_mutated_files_are_errors_or_the_same(seed: int) -> None:
    rng, wrong = random.Random(seed), 0
    for _ in range(300):
        data = bytearray(FILE)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
        try:
            assert bytes(data) == FILE or read(bytes(data)) is None
        except BitstreamError:
            wrong += 1
    assert wrong > 200
