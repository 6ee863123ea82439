import numpy as np
import pytest
from PIL import Image, features

from vqvae.errors import DataError
from vqvae.media.formats import FORMATS, SUFFIXES, format_of
from vqvae.media.images import read_image

PIXELS = np.tile(np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4, 1), (8, 8, 3))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_of_every_suffix_are_read_whatever_they_are_called(tmp_path, suffix):
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("Pillow was built without AVIF")
    path = tmp_path / f"a{suffix}"
    Image.fromarray(PIXELS).save(path, quality=100)
    found = read_image(path.rename(tmp_path / "other.png"))
    assert found.shape == (3, 24, 32) and abs(found.transpose(1, 2, 0).astype(int) - PIXELS).mean() < 12
    kind = format_of((tmp_path / "other.png").read_bytes()[:16])
    assert kind is not None and suffix in kind.suffixes


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_of_several_pictures_is_read(tmp_path, suffix):
    first, second = (Image.new("RGB", (5, 4), colour) for colour in ("red", "blue"))
    first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second], **({"lossless": True} if suffix == "webp" else {}))
    assert read_image(tmp_path / f"a.{suffix}")[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("start", [b"", b"%!PS-Adobe", b"P6 4 4 255", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x20ftypisom"])
def test_other_files_are_of_no_format(tmp_path, start):
    assert format_of(start) is None and len(FORMATS) == 7
    (tmp_path / "a.png").write_bytes(start)
    with pytest.raises(DataError, match="not a PNG"):
        read_image(tmp_path / "a.png")
