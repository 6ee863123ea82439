import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vqvae.media.images import read_image
from vqvae.media.metadata import turn_of, without_metadata

TURNED = b"II*\0\x08\0\0\0" + struct.pack("<H", 2)
ENTRY = struct.pack("<HHIHxx", 0x0112, 3, 1, 6)
PIXELS = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 9


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(before=b"", after=b""):
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 8, 2, 0, 0, 0))
    rows = b"".join(b"\0" + row.tobytes() for row in PIXELS)
    return b"\x89PNG\r\n\x1a\n" + head + before + _chunk(b"IDAT", zlib.compress(rows)) + after + _chunk(b"IEND", b"")


def _encoded(kind, **extra):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **extra)
    return file.getvalue()


def _jpeg(*segments):
    plain = _encoded("JPEG", quality=95)
    return plain[:2] + b"".join(b"\xff" + bytes([mark]) + struct.pack(">H", 2 + len(body)) + body for mark, body in segments) + plain[2:]


def _webp(exif):
    whole = _encoded("WEBP", lossless=True, exif=b"Exif\0\0" + TURNED)
    body = bytearray(whole[: whole.find(b"EXIF")] + b"EXIF" + struct.pack("<I", len(exif)) + exif + bytes(len(exif) % 2))
    body[4:8] = struct.pack("<I", len(body) - 8)
    return bytes(body)


def _profile(name, text):
    return _chunk(b"zTXt", b"Raw profile type " + name + b"\0\0" + zlib.compress(text))


BOMB = zlib.compress(bytes(2**26))
DAMAGED = {
    "exif-without-a-header.png": _png(_chunk(b"eXIf", b"\0\x08\0\2\1\x12\0\3")),
    "exif-without-its-entries.png": _png(_chunk(b"eXIf", TURNED)),
    "exif-far-away.png": _png(_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff\0\0")),
    "exif-of-a-wrong-sum.png": _png(_chunk(b"eXIf", TURNED)[:-1] + b"?"),
    "text-of-a-wrong-sum.png": _png(_chunk(b"tEXt", b"a\0b")[:-1] + b"?"),
    "text-of-a-wrong-sum-behind.png": _png(after=_chunk(b"tEXt", b"a\0b")[:-1] + b"?"),
    "text-cut-short-behind.png": _png(after=b"\0\0\xff\0tEXtabc"),
    "raw-profile.png": _png(_profile(b"exif", b"\nexif\n      10\n45786966000049zz\n")),
    "raw-profile-behind.png": _png(after=_profile(b"exif", b"\nexif\n      10\n4")),
    "raw-profile-of-xmp.png": _png(_profile(b"xmp", b"\nxmp\n 4\nzz")),
    "text-bomb.png": _png(_chunk(b"zTXt", b"a\0\0" + BOMB)),
    "profile-bomb.png": _png(_chunk(b"iCCP", b"a\0\0" + BOMB)),
    "profile-of-no-sense.png": _png(_chunk(b"iCCP", b"a\0\0\7\7\7")),
    "profile-of-another-method.png": _png(_chunk(b"iCCP", b"a\0\x09abc")),
    "physical-size-cut-short.png": _png(_chunk(b"pHYs", b"\0")),
    "exif.jpg": _jpeg((0xE1, b"Exif\0\0" + b"\7" * 20)),
    "exif-cut-short.jpg": _jpeg((0xE1, b"Exif\0\0II*\0")),
    "xmp.jpg": _jpeg((0xE1, b'http://ns.adobe.com/xap/1.0/\0\xff\xfe tiff:Orientation="x"')),
    "profile.jpg": _jpeg((0xE2, b"ICC_PROFILE\0")),
    "many-pictures.jpg": _jpeg((0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff")),
    "many-pictures-elsewhere.jpg": _jpeg((0xE2, b"MPF\0MM\0*\0\0\0\x08\0\1\xb0\1\0\4\0\0\0\1\0\0\0\2\0\0\0\0")),
    "photoshop.jpg": _jpeg((0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\xff\xff")),
    "exif.webp": _webp(b"\7" * 20),
    "exif-cut-short.webp": _webp(b"II*\0"),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.filterwarnings("ignore")
def test_damaged_metadata_never_stops_a_readable_picture(tmp_path, name):
    (tmp_path / name).write_bytes(DAMAGED[name])
    pixels = read_image(tmp_path / name)
    assert pixels.shape == (3, 2, 4)
    if not name.endswith(".jpg"):
        np.testing.assert_array_equal(pixels.transpose(1, 2, 0), PIXELS)


GOOD = {
    "a.png": _png(_chunk(b"eXIf", TURNED + ENTRY)),
    "beside-damage.png": _png(_chunk(b"eXIf", TURNED + ENTRY) + _chunk(b"tEXt", b"a\0b")[:-1] + b"?"),
    "after-text-as-width.jpg": _jpeg((0xE1, b"Exif\0\0" + TURNED + struct.pack("<HHI4s", 0x100, 2, 4, b"abc\0") + ENTRY)),
    "beside-damage.jpg": _jpeg((0xE1, b"Exif\0\0" + TURNED + ENTRY), (0xE2, b"ICC_PROFILE\0"), (0xE2, b"MPF\0II*\0\xff\xff\xff\xff")),
    "xmp.jpg": _jpeg((0xE1, b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="6"/>')),
    "profile.png": _png(_profile(b"exif", b"\nexif\n 40\n" + (b"Exif\0\0" + TURNED + ENTRY).hex().encode() + b"zz\n")),
    "a.webp": _webp(TURNED + ENTRY),
    "a.tif": _encoded("TIFF", tiffinfo={0x0112: 6}),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_picture_is_upright_where_its_orientation_can_be_read(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name])
    pixels = read_image(tmp_path / name)
    assert pixels.shape == (3, 4, 2)
    if not name.endswith(".jpg"):
        np.testing.assert_array_equal(pixels.transpose(1, 2, 0), np.rot90(PIXELS, -1))


@pytest.mark.parametrize("kind", [1, 2, 5, 6, 9, 13])
def test_orientations_of_any_type_and_value_give_a_turn_or_none(kind):
    exif = b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHI", 0x0112, kind, 1)
    assert all(turn_of({"exif": exif + bytes(value)}) is None for value in ([0, 0, 0, 0], [9, 9, 9, 9], [255] * 4, [6]))


def test_pixels_and_colour_spaces_are_kept_where_metadata_is_left_out():
    assert without_metadata(_png(_chunk(b"eXIf", b"abc"), _chunk(b"tEXt", b"a\0b"))) == (_png(), b"abc")
    assert without_metadata(_jpeg((0xFE, b"words"), (0xE1, b"Exif\0\0abc"))) == (_jpeg(), b"Exif\0\0abc")
    adobe = _jpeg((0xEE, b"Adobe\0\x64\0\0\0\0\1"))
    assert without_metadata(adobe) == (adobe, None) and without_metadata(b"other") == (b"other", None)
