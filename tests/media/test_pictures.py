import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.media.test_deep import write_tiff
from vqvae.errors import DataError
from vqvae.media import pictures
from vqvae.media.images import read_image
from vqvae.media.pictures import Box, Picture, open_picture, pixels_of, read_header


@pytest.mark.parametrize("turn", [None, *Image.Transpose])
def test_a_part_is_that_of_the_upright_picture(tmp_path, turn):
    image = Image.fromarray(np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3))
    picture, upright = Picture(image, turn, tmp_path), image if turn is None else image.transpose(turn)
    whole = np.asarray(upright).transpose(2, 0, 1)
    assert picture.size == whole.shape[1:]
    for box in (Box(0, 0, *picture.size), Box(1, 2, 4, 5), Box(2, 0, 3, 1)):
        np.testing.assert_array_equal(picture.read(box), whole[:, box.top : box.bottom, box.left : box.right])


@pytest.mark.parametrize(
    ("mode", "channels", "levels"),
    [
        ("1", 1, 256),
        ("L", 1, 256),
        ("LA", 1, 256),
        ("RGB", 3, 256),
        ("CMYK", 3, 256),
        ("I;16", 1, 65_536),
        ("I", 1, 65_536),
        ("F", 1, None),
    ],
)
def test_a_picture_says_what_it_holds(tmp_path, mode, channels, levels):
    picture = Picture(Image.new(mode, (4, 3)), None, tmp_path)
    assert (picture.size, picture.channels, picture.levels) == ((3, 4), channels, levels)


def test_a_palette_of_greys_holds_greys(tmp_path):
    image = Image.new("P", (4, 3))
    image.putpalette([0, 0, 0, 200, 200, 200])
    assert Picture(image, None, tmp_path).channels == 1
    image.putpalette([0, 0, 0, 200, 0, 200])
    assert Picture(image, None, tmp_path).channels == 3


def test_greys_are_the_luma_of_colours_whatever_the_mode():
    colours = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    expected = np.asarray(colours.convert("L"))
    for mode in ("RGB", "RGBA", "CMYK"):
        np.testing.assert_array_equal(pixels_of(colours.convert(mode), 1, 256)[0], expected)
    grey = colours.convert("L")
    np.testing.assert_array_equal(pixels_of(grey.convert("LA"), 1, 256)[0], np.asarray(grey))
    np.testing.assert_array_equal(pixels_of(grey, 3, 65_536), np.stack([np.asarray(grey).astype(int) * 257] * 3))


def test_a_transparent_level_of_16_bits_is_white(tmp_path):
    Image.fromarray(np.array([[5, 6]], np.uint16)).save(tmp_path / "a.png", transparency=5)
    assert read_image(tmp_path / "a.png", levels=65_536, channels=1).tolist() == [[[65_535, 6]]]


def _chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width, height, rows=b"", bits=8, colour=2):
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (_png(2**31 - 1, 2**31 - 1), "at most 180,000,000 are read"),
        (_png(13_500, 13_500), "at most"),
        (_png(13_000, 13_000), "cut short"),
        (_png(0, 4), ""),
        (_png(4, 4, colour=3), ""),
        (_png(4, 4, bits=7), ""),
        (b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\2\1\0\0;", "at most"),
        (b"BM" + bytes(8) + struct.pack("<IIiiHHIIIIII", 26, 40, 2**30, -(2**30), 1, 24, 0, 0, 0, 0, 0, 0), "at most"),
        (b"II*\0\x08\0\0\0\xff\xff" + b"\0\1\3\0\1\0\0\0\4\0\0\0", ""),
        (b"RIFF\x10\0\0\0WEBPVP8X", ""),
        (b"\0\0\0\x20ftypavif" + bytes(40), ""),
        (b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\3\1\x11\0\2\x11\1\3\x11\1", "at most"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_hostile_files_are_refused_before_memory_is_taken(tmp_path, data, words):
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match=rf"(?s)a\.png cannot be decoded: .*{words}"):
        open_picture(tmp_path / "a.png")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="it is not a file"):
        open_picture(tmp_path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        open_picture(tmp_path / "a.png")


def test_a_lack_of_memory_is_a_data_error(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.bmp")

    def load(*_):
        raise MemoryError

    monkeypatch.setattr(pictures, "_decoded", load)
    with pytest.raises(DataError, match="more memory than there is"):
        open_picture(tmp_path / "a.bmp")


def test_deep_colours_that_cannot_be_read_are_refused(tmp_path):
    write_tiff(tmp_path / "a.tif", np.full((2, 2, 4), 300), photometric=5)
    for size in (None, 2):
        with pytest.raises(DataError, match=r"a\.tif cannot be decoded with 65536 levels: of its colours with more than 8 bits"):
            read_image(tmp_path / "a.tif", size, levels=65_536)


def test_a_deep_picture_that_becomes_dark_is_warned_of_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(pictures, "_SAID", set())
    for name in ("a.png", "b.png"):
        Image.fromarray(np.full((2, 2), 4095, np.uint16)).save(tmp_path / name)
        read_image(tmp_path / name)
        read_image(tmp_path / name, levels=65_536)
    assert caplog.text.count("no value above 4095") == 1 and "256 levels, 16 remain" in caplog.text


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "webp"])
def test_a_header_says_what_the_picture_has(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.effect_noise((7, 5), 60).save(path)
    header, whole = read_header(path), open_picture(path)
    assert header.size == whole.size == (5, 7)
    if suffix != "webp":  # It has no greys.
        assert (header.channels, header.levels) == (1, 256)


def test_a_file_without_a_header_is_named(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    for name, reason in (("a.png", "not a PNG"), ("b.png", "cannot be read")):
        with pytest.raises(DataError, match=rf"{name} .*{reason}"):
            read_header(tmp_path / name)
