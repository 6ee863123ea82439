"""Where the samples of an audio file are, whatever the file says about its own length.

Recorders that lose power, streams and cut files leave headers with a length of zero, with the largest length that fits, or with a length
that is simply wrong. libsndfile believes most of them. ``parts`` looks at the file itself, and gives views in which the wrong lengths are
replaced. It reads headers only, and at most ``_STEPS`` of them in a file of chunks.
"""

import io
import os
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

UNKNOWN = 1 << 48
"""Bytes that a view claims to have when its true number of frames is not known: libsndfile then reads to the end of the file."""
_STEPS = 4_096
_SEARCHED = 1 << 20
_TAG = 128
"""Bytes at the end of an MP3 file that may hold a tag, ID3 version 1."""


class View(io.RawIOBase):
    """A part of a file as a file of its own, with some of its bytes replaced."""

    def __init__(self, file: io.BufferedIOBase, start: int, stop: int, replaced: Mapping[int, bytes], said: int | None = None) -> None:
        """Show the bytes from ``start`` to ``stop``.

        Args:
            replaced: other bytes, by their offset in ``file``.
            said: the length that seeking to the end reports; the true one if omitted.
        """
        self._file, self._start, self._stop, self._replaced, self._at = file, start, stop, dict(replaced), 0
        self._said = stop - start if said is None else said

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._said}[whence])
        return self._at

    def readinto(self, buffer) -> int:  # noqa: ANN001 - whatever has bytes, such as an array of cffi
        place = memoryview(buffer).cast("B")
        if self._at >= max(self._stop - self._start, self._said - _TAG):  # Where a decoder looks for a tag, there is none.
            count = min(len(place), max(0, self._said - self._at))
            place[:count] = bytes(count)
            self._at += count
            return count
        first = self._start + self._at
        self._file.seek(min(first, self._stop))
        content = bytearray(self._file.read(max(0, min(len(place), self._stop - first))))
        for offset, new in self._replaced.items():
            for i, byte in enumerate(new):
                if 0 <= offset + i - first < len(content):
                    content[offset + i - first] = byte
        place[: len(content)] = content
        self._at += len(content)
        return len(content)


class Part(NamedTuple):
    """A part of a file that libsndfile decodes on its own."""

    view: View
    missing: bool
    """Whether the file ends before this part does, by what the file says."""
    frames: int = 0
    """How many samples a channel it should have at least."""


def parts(file: io.BufferedIOBase) -> Iterator[Part]:
    """The parts of an audio file: one, or one for each of the streams that an OGG file strings together."""
    length = file.seek(0, os.SEEK_END)
    start = _after_tags(file, length)
    file.seek(start)
    kind = file.read(12)
    if kind[:4] == b"OggS":
        yield from _ogg(file, start, length)
    elif kind[:4] in (b"RIFF", b"RF64") and kind[8:] == b"WAVE":
        yield _chunks(file, start, length, "little")
    elif kind[:4] == b"FORM" and kind[8:] in (b"AIFF", b"AIFC"):
        yield _chunks(file, start, length, "big")
    elif kind[:4] == b".snd":
        # Nothing follows the samples, so the length in the header says nothing that the file does not.
        said, head = int.from_bytes(kind[8:12], "big"), int.from_bytes(kind[4:8], "big")
        yield Part(View(file, start, length, {start + 8: b"\xff" * 4}), said < 2**32 - 1 and start + head + said > length)
    elif kind[:4] == b"riff":
        yield _wave64(file, start, length)
    elif kind[:4] == b"fLaC":
        yield _flac(file, start, length)
    else:
        yield _mpeg(file, start, length)


def _after_tags(file: io.BufferedIOBase, length: int) -> int:
    """Where the sound begins: after the ID3 tags, if there are any."""
    start = 0
    for _ in range(16):
        file.seek(start)
        head = file.read(10)
        if head[:3] != b"ID3" or len(head) < 10:
            break
        size = sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        size += 10 + 10 * bool(head[5] & 16)
        if start + size >= length:  # The size is wrong: the search for a frame finds the sound.
            return start
        start += size
    return start


def _chunks(file: io.BufferedIOBase, start: int, length: int, order: Literal["little", "big"]) -> Part:
    """A WAV, RF64 or AIFF file: the size of the chunk of samples is taken from the file if the header's cannot be right."""
    at, long_at, long_size = start + 12, 0, 0
    for _ in range(_STEPS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            break
        size = int.from_bytes(head[4:], order)
        if head[:4] == b"ds64":
            long_at, long_size = at + 16, int.from_bytes(file.read(16)[8:], "little")
        elif head[:4] in (b"data", b"SSND"):
            is_long = bool(long_at) and size == 2**32 - 1
            size, rest = long_size if is_long else size, length - at - 8
            streamed = not size or size >= (2**62 if is_long else 2**31 - 2**16)
            if size > rest or not _are_chunks(file, at + 8 + size + size % 2, length, order, size):
                new = (rest - rest % 2).to_bytes(8, "little") if is_long else min(rest, 2**32 - 1).to_bytes(4, order)
                return Part(View(file, start, length, {long_at if is_long else at + 4: new}), size > rest and not streamed)
            break
        at += 8 + size + size % 2
    return Part(View(file, start, length, {}), False)


def _are_chunks(file: io.BufferedIOBase, at: int, length: int, order: Literal["little", "big"], size: int) -> bool:
    """Whether what follows the samples may be chunks: else their size is wrong. Less than the samples have may be anything."""
    if length - at < max(size, 8):
        return True
    for _ in range(_STEPS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return True
        if not all(32 <= byte < 127 for byte in head[:4]):
            return False
        following = int.from_bytes(head[4:], order)
        at += 8 + following + following % 2
        if at > length + 1:
            return False
    return True


def _flac(file: io.BufferedIOBase, start: int, length: int) -> Part:
    """A FLAC file as a stream: its header may leave the number of samples out, in 36 bits [RFC 9639, section 8.2]."""
    file.seek(start + 21)
    mixed = file.read(5)
    new = bytes([mixed[0] & 0xF0]) + bytes(4) if len(mixed) == 5 else b""
    return Part(View(file, start, length, {start + 21: new}), False, int.from_bytes(mixed, "big") % 2**36 % (2**36 - 1))


def _wave64(file: io.BufferedIOBase, start: int, length: int) -> Part:
    """A W64 file: chunks of a GUID and 64 bits of size, which count both, at multiples of eight bytes."""
    at = start + 40
    for _ in range(_STEPS):
        file.seek(at)
        head = file.read(24)
        size, rest = int.from_bytes(head[16:], "little"), length - at
        if len(head) < 24 or size < 24 and head[:4] != b"data":
            break
        if head[:4] == b"data":
            sizes = {start + 16: (length - start).to_bytes(8, "little"), at + 16: rest.to_bytes(8, "little")}
            return Part(View(file, start, length, sizes if size > rest else {}), rest < size < 2**62)
        at += (size + 7) // 8 * 8
    return Part(View(file, start, length, {}), False)


def _ogg(file: io.BufferedIOBase, start: int, length: int) -> Iterator[Part]:
    """The streams of an OGG file, one after the other, each from its first page to the first page of the next [RFC 3533, section 6]."""
    first = at = start
    begun = False
    while True:
        file.seek(at)
        head = file.read(27)
        if len(head) < 27 or head[:4] != b"OggS":
            break
        begins, sizes = bool(head[5] & 2), file.read(head[26])
        if begins and begun:
            yield Part(View(file, first, at, {}), False)
            first = at
        begun = not begins
        at += 27 + head[26] + sum(sizes)
        if len(sizes) < head[26] or at > length:
            break
    yield Part(View(file, first, length, {}), at > length or 0 < length - at < 27)


# ISO 11172-3 and 13818-3: kilobits a second of layer III, and samples a second.
_BITS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


def _frame_length(head: bytes) -> int:
    """The bytes of an MP3 frame; 0 if these four bytes begin none, or one whose length they do not say."""
    if len(head) < 4 or head[0] != 255 or head[1] & 0xE6 != 0xE2:
        return 0
    version, bits, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or bits in (0, 15) or rate == 3:
        return 0
    factor, kilobits = (144, _BITS[3][bits]) if version == 3 else (72, _BITS[2][bits])
    return factor * 1000 * kilobits // _RATES[version][rate] + (head[2] >> 1 & 1)


def _mpeg(file: io.BufferedIOBase, start: int, length: int) -> Part:
    """An MP3 file from its first frame on. Its number of frames is believed if the file has as many."""
    file.seek(start)
    searched = file.read(_SEARCHED)
    at = searched.find(b"\xff")
    while at >= 0:
        size = _frame_length(searched[at : at + 4])
        if size and (_frame_length(searched[at + size : at + size + 4]) or start + at + size >= length):
            break
        at = searched.find(b"\xff", at + 1)
    if at < 0:  # No MP3 file, or one of another layer.
        return Part(View(file, start, length, {}), False)
    first, frames = start + at, _frames(file, start + at)
    said = _said_frames(searched[at : at + 64])
    if said is None:
        return Part(View(file, first, length, {}, UNKNOWN), False)
    if frames <= said + 2:
        return Part(View(file, first, length, {}), frames < said)
    # The frame that holds the header has no sound.
    return Part(View(file, first + size, length, {}, UNKNOWN), False)


def _frames(file: io.BufferedIOBase, at: int) -> int:
    """How many whole frames follow each other, with the one that holds the header."""
    length, count = file.seek(0, os.SEEK_END), 0
    while True:
        file.seek(at)
        size = _frame_length(file.read(4))
        if not size or at + size > length:
            return count
        at, count = at + size, count + 1


def _said_frames(frame: bytes) -> int | None:
    """The number of frames that the first one states: Xing's header, or VBRI's."""
    for name in (b"Xing", b"Info"):
        place = frame.find(name)
        if place >= 0 and frame[place + 7 : place + 8] and frame[place + 7] & 1:
            return int.from_bytes(frame[place + 8 : place + 12], "big")
    place = frame.find(b"VBRI")
    return int.from_bytes(frame[place + 14 : place + 18], "big") if place >= 0 else None
