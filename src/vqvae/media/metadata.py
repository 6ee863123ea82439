"""Metadata of picture files. Only the orientation matters here, and damage in the rest never stops a readable picture."""

import re
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image

ORIENTATION = 0x0112
"""The number of the tag, in EXIF and in TIFF."""
# TIFF 6.0, section 2: the integer types, their struct codes.
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
_PNG = b"\x89PNG\r\n\x1a\n"
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turn_of(info: Mapping[Any, Any]) -> Image.Transpose | None:
    """How to turn a picture upright, from the ``info`` of a Pillow image. None if it is upright or if its orientation cannot be read."""
    exif = info.get("exif")
    found = _from_exif(exif) if isinstance(exif, bytes) else None
    if found is None:
        found = _from_exif(_raw_profile(info.get("Raw profile type exif")))
    if found is None:
        found = _from_xmp(info.get("XML:com.adobe.xmp") or info.get("xmp"))
    return None if found is None else _TRANSPOSES.get(found)


def without_metadata(data: bytes) -> tuple[bytes, bytes | None]:
    """A PNG or JPEG file without everything that its pixels do not need, and its EXIF block. Other files stay as they are."""
    if data.startswith(_PNG):
        return _clean_png(data)
    if data.startswith(b"\xff\xd8"):
        return _clean_jpeg(data)
    return data, None


def _from_exif(exif: bytes) -> int | None:
    """The orientation, 1 to 8. Entries before and after it may be damaged."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return None
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return None
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for place in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, _ = struct.unpack_from(f"{order}HHI", tiff, place)
        if tag == ORIENTATION and kind in _INTEGERS:
            return struct.unpack_from(order + _INTEGERS[kind], tiff, place + 8)[0]
    return None


def _raw_profile(text: Any) -> bytes:
    """The EXIF block that ImageMagick writes as text: a name, a length, then hexadecimal digits. Empty if there is none."""
    if not isinstance(text, str):
        return b""
    digits = "".join(text.split("\n")[3:])
    good = "".join(re.match(r"[0-9a-fA-F\s]*", digits)[0].split())  # type: ignore[index]  # The pattern matches any text.
    return bytes.fromhex(good[: len(good) // 2 * 2])


def _from_xmp(xmp: Any) -> int | None:
    text = xmp.decode("latin-1") if isinstance(xmp, bytes) else xmp
    found = re.search(r"tiff:Orientation(?:=[\"']|>)([1-8])", text) if isinstance(text, str) else None
    return int(found[1]) if found else None


def _clean_png(data: bytes) -> tuple[bytes, bytes | None]:
    """Keep the critical chunks, whose names start with a capital, and transparency. A chunk that is cut short stays as it is."""
    kept, exif, place = [_PNG], None, len(_PNG)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name, end = data[place + 4 : place + 8], place + 12 + length
        if name == b"eXIf":
            exif = data[place + 8 : end - 4]
        if name[:1].isupper() or name == b"tRNS":
            kept.append(data[place:end])
        place = end
    return b"".join(kept), exif


def _clean_jpeg(data: bytes) -> tuple[bytes, bytes | None]:
    """Leave out comments and application segments before the pixels, except JFIF's (0) and Adobe's (14), which name the colour space."""
    kept, exif, place = [data[:2]], None, 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, (length,) = data[place + 1], struct.unpack_from(">H", data, place + 2)
        if marker == 0xFF:  # Padding.
            place += 1
            continue
        if marker == 0xDA:  # The pixels begin.
            break
        segment = data[place : place + 2 + length]
        if marker == 0xE1 and segment[4:10] == b"Exif\0\0":
            exif = segment[4:]
        if not (0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE)):
            kept.append(segment)
        place += 2 + length
    return b"".join([*kept, data[place:]]), exif
