"""Colours of 16 bits per channel, in files that are written byte by byte."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from vqvae.data import ImageFolderConfig
from vqvae.data.looking import look
from vqvae.media.images import read_image
from vqvae.media.pictures import Box, open_picture, read_header
from vqvae.media.png import write_png_rows

PIXELS = np.random.default_rng(0).integers(0, 65_536, (5, 7, 3))


def write_png(path: Path, pixels: np.ndarray, colour_type: int, more: bytes = b"") -> None:
    """A PNG of 16 bits."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    parts = [(b"IHDR", head), *([(b"tRNS", more)] if more else []), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = b"".join(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def write_tiff(path: Path, pixels: np.ndarray, *, order: str = "<", compression: int = 1, photometric: int = 2) -> None:
    """A TIFF of 16 bits with one strip; compression 8 is deflate."""
    height, width, channels = pixels.shape
    body = pixels.astype(f"{order}u2").tobytes()
    body = zlib.compress(body) if compression == 8 else body
    bits = 8 + 2 + 12 * 9 + 4
    strip = bits + 2 * channels
    shorts = {256: width, 257: height, 259: compression, 262: photometric, 277: channels, 278: height}
    longs = {273: strip, 279: len(body)}
    entries = {tag: struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in shorts.items()}
    entries |= {tag: struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in longs.items()}
    entries[258] = struct.pack(f"{order}HHII", 258, 3, channels, bits)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    tail = struct.pack(f"{order}I", 0) + struct.pack(f"{order}{channels}H", *[16] * channels)
    path.write_bytes(head + b"".join(entries[tag] for tag in sorted(entries)) + tail + body)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [1, 8])
def test_tiff_keeps_all_bits(tmp_path: Path, order: str, compression: int) -> None:
    write_tiff(tmp_path / "a.tif", PIXELS, order=order, compression=compression)
    found = read_image(tmp_path / "a.tif", levels=65_536)
    assert np.array_equal(found, PIXELS.transpose(2, 0, 1)) and found.dtype == np.int32
    assert np.array_equal(read_image(tmp_path / "a.tif"), (PIXELS >> 8).transpose(2, 0, 1))
    header = read_header(tmp_path / "a.tif")
    assert (header.size, header.channels, header.levels) == ((5, 7), 3, 65_536)


def test_png_keeps_all_bits(tmp_path: Path) -> None:
    write_png_rows(tmp_path / "a.png", [PIXELS.transpose(2, 0, 1).astype(np.int32)], (5, 7), 65_536)
    assert np.array_equal(read_image(tmp_path / "a.png", levels=65_536), PIXELS.transpose(2, 0, 1))
    part = open_picture(tmp_path / "a.png", levels=65_536).read(Box(1, 2, 4, 6), levels=65_536)
    assert np.array_equal(part, PIXELS[1:4, 2:6].transpose(2, 0, 1))
    grey = np.rint(PIXELS @ [0.299, 0.587, 0.114])
    assert np.array_equal(read_image(tmp_path / "a.png", channels=1, levels=65_536)[0], grey)
    small = read_image(tmp_path / "a.png", (5, 5), levels=65_536)
    assert small.shape == (3, 5, 5) and len(np.unique(small & 255)) > 30, "resized with all bits"


def test_transparency_is_laid_over_white(tmp_path: Path) -> None:
    alpha = np.concatenate([PIXELS, np.full((5, 7, 1), 65_535)], 2)
    alpha[0, 0, 3], alpha[1, 1] = 0, (1_000, 2_000, 3_000, 32_768)
    write_png(tmp_path / "a.png", alpha, 6)
    found = read_image(tmp_path / "a.png", levels=65_536).transpose(1, 2, 0)
    assert found[0, 0].tolist() == [65_535] * 3 and np.array_equal(found[2:], PIXELS[2:])
    assert found[1, 1] == pytest.approx(65_535 - (65_535 - np.array([1_000, 2_000, 3_000])) * 32_768 / 65_535, abs=1)
    write_png(tmp_path / "b.png", PIXELS, 2, struct.pack(">HHH", *PIXELS[3, 4]))
    clear = PIXELS.copy()
    clear[3, 4] = 65_535
    assert np.array_equal(read_image(tmp_path / "b.png", levels=65_536), clear.transpose(2, 0, 1))


def test_greys_with_transparency_keep_all_bits(tmp_path: Path) -> None:
    pixels = np.stack([PIXELS[..., 0], np.full((5, 7), 65_535)], 2)
    write_png(tmp_path / "a.png", pixels, 4)
    assert np.array_equal(read_image(tmp_path / "a.png", channels=1, levels=65_536)[0], PIXELS[..., 0])


def test_a_folder_of_them_is_read_with_all_levels(tmp_path: Path) -> None:
    for number in range(4):
        write_png_rows(tmp_path / f"{number}.png", [PIXELS.transpose(2, 0, 1).astype(np.int32)], (5, 7), 65_536)
    found = look(str(tmp_path))
    assert found is not None and (found.levels, found.channels) == (65_536, 3)
    train, _ = ImageFolderConfig(path=str(tmp_path), size=(5, 7), levels=65_536).build()
    assert np.array_equal(train.batch(np.array([0])).x[0].numpy(), PIXELS.transpose(2, 0, 1))
