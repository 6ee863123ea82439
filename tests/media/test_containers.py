"""Audio files whose headers are wrong about their own length."""

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vqvae.data import read_audio
from vqvae.errors import DataError
from vqvae.media.containers import View, parts

soundfile = pytest.importorskip("soundfile")
COUNT = 20_000
SOUND = np.random.default_rng(0).uniform(-0.5, 0.5, COUNT).astype(np.float32)


def encoded(kind: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, SOUND, 16_000, format=kind, subtype=subtype)
    return file.getvalue()


def put(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def with_size(kind: str, chunk: bytes, after: int, form: str) -> Callable[[int], bytes]:
    content = encoded(kind)
    return lambda size: put(content, content.index(chunk) + after, struct.pack(form, size))


def with_total(total: int) -> bytes:
    content = encoded("FLAC")
    mixed = int.from_bytes(content[21:26], "big") >> 36 << 36 | total
    return put(content, 21, mixed.to_bytes(5, "big"))


CASES = {
    "WAV": (with_size("WAV", b"data", 4, "<I"), (0, 1, 100, 2**31 - 2**12, 2**32 - 1, 41_000)),
    "RF64": (with_size("RF64", b"ds64", 16, "<Q"), (0, 100, 2**64 - 1, 2**63, 10**9)),
    "AIFF": (with_size("AIFF", b"SSND", 4, ">I"), (0, 10, 2**32 - 1, 10**6)),
    "AIFF frames": (with_size("AIFF", b"COMM", 10, ">I"), (0, 10, 2**32 - 1)),
    "AU": (with_size("AU", b".snd", 8, ">I"), (0, 10, 2**32 - 1, 10**6)),
    "W64": (with_size("W64", b"data", 16, "<Q"), (0, 24, 100, 2**64 - 1, 2**63 - 1, 10**9)),
    "FLAC": (with_total, (0, 10, 10**6, 2**36 - 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_length_in_the_header_does_not_decide(case: str, tmp_path: Path) -> None:
    make, sizes = CASES[case]
    for size in sizes:
        (tmp_path / "a.wav").write_bytes(make(size))
        np.testing.assert_allclose(read_audio(tmp_path / "a.wav", 16_000), SOUND, atol=1e-4, err_msg=f"{case} {size}")


def test_chunks_after_the_samples_are_no_samples(tmp_path: Path) -> None:
    content = encoded("WAV")
    for tail in (b"LIST\4\0\0\0abcd", b"TAG" + bytes(125), bytes(7)):
        (tmp_path / "a.wav").write_bytes(content + tail)
        assert len(read_audio(tmp_path / "a.wav", 16_000)) == COUNT
    empty = content[: content.index(b"data") + 4] + bytes(4) + b"LIST\4\0\0\0abcd"
    (tmp_path / "a.wav").write_bytes(empty)
    with pytest.raises(DataError, match="no samples"):
        read_audio(tmp_path / "a.wav", 16_000)


@pytest.mark.parametrize("kind", ["FLAC", "WAV", "MP3"])
def test_a_tag_in_front_is_passed_over(kind: str, tmp_path: Path) -> None:
    tag = b"ID3\3\0\0" + bytes((0, 20, 0, 0)) + bytes(20 << 14)
    (tmp_path / "a.bin").write_bytes(tag + encoded(kind))
    assert len(read_audio(tmp_path / "a.bin", 16_000)) == COUNT


def test_an_mp3_file_is_read_to_its_end_without_a_header_or_with_a_wrong_one(tmp_path: Path) -> None:
    content = encoded("MP3")
    place = max(content.find(b"Xing"), content.find(b"Info"))
    # Without the header; with one that states too few frames; with another file's after it; with a tag at the end.
    bare = content[content.index(b"\xff\xf3", 4) if content[1] == 0xF3 else content.index(b"\xff\xfb", 4) :]
    cases = {"bare": bare, "few": put(content, place + 8, struct.pack(">I", 5)), "tag": bare + b"TAG" + bytes(125)}
    for name, case in cases.items():
        (tmp_path / "a.mp3").write_bytes(case)
        assert COUNT <= len(read_audio(tmp_path / "a.mp3", 16_000)) <= COUNT + 3 * 1152, name
    (tmp_path / "a.mp3").write_bytes(content + content)
    assert len(read_audio(tmp_path / "a.mp3", 16_000)) >= 2 * COUNT


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_all_streams_of_an_ogg_file_are_read(subtype: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = encoded("OGG", subtype)
    (tmp_path / "a.opus").write_bytes(content + content)
    assert len(read_audio(tmp_path / "a.opus", 16_000)) == 2 * COUNT
    assert not caplog.records
    (tmp_path / "a.opus").write_bytes(content + content[: len(content) // 2])
    assert len(read_audio(tmp_path / "a.opus", 16_000)) >= COUNT
    assert "cut short" in caplog.text


def test_a_view_is_a_file_of_its_own_with_bytes_replaced() -> None:
    view = View(io.BytesIO(bytes(range(100))), 10, 20, {9: b"\xff\xfe", 19: b"\xfd\xfc"})
    assert view.readable() and view.seekable() and view.read() == bytes([254, *range(11, 19), 253])
    assert view.seek(0, os.SEEK_END) == 10 and view.seek(-3, os.SEEK_CUR) == 7 and view.read(2) == bytes([17, 18]) and view.tell() == 9
    long = View(io.BytesIO(bytes(range(100))), 10, 20, {}, 1000)
    assert long.seek(0, os.SEEK_END) == 1000 and long.seek(-128, os.SEEK_END) == 872 and long.read(3) == bytes(3)
    long.seek(500)
    assert long.read(3) == b""


def test_endless_chunks_are_not_followed(tmp_path: Path) -> None:
    with (tmp_path / "zeros.wav").open("wb") as file:
        file.write(b"RIFF\xff\xff\xff\xffWAVE")
        file.truncate(1 << 26)
    with (tmp_path / "zeros.wav").open("rb") as file:
        (part,) = parts(file)
        assert not part.missing and file.tell() < 1 << 16
