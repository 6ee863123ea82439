import numpy as np
import pytest
from PIL import Image

from vqvae.errors import DataError
from vqvae.media.images import read_image
from vqvae.media.png import write_png_rows


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("cuts", [(), (1,), (3, 4, 11)])
def test_bands_become_one_picture(tmp_path, channels, cuts):
    pixels = np.random.default_rng(0).integers(0, 256, (channels, 13, 9), dtype=np.uint8)
    write_png_rows(tmp_path / "a.png", np.split(pixels, cuts, 1), (13, 9))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels=channels), pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == ("L" if channels == 1 else "RGB")


def test_greys_of_16_bits_are_kept(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65_536, (1, 13, 9), dtype=np.int32)
    write_png_rows(tmp_path / "a.png", [pixels], (13, 9), 65_536)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels=1, levels=65_536), pixels)


def test_colours_of_16_bits_show_in_any_viewer(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 13, 9), dtype=np.int32)
    write_png_rows(tmp_path / "a.png", [pixels * 257], (13, 9), 65_536)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)


def test_nothing_is_left_where_a_band_cannot_be_made(tmp_path):
    def bands():
        yield np.zeros((1, 2, 2), np.uint8)
        raise DataError("no more")

    with pytest.raises(DataError, match="no more"):
        write_png_rows(tmp_path / "a.png", bands(), (4, 2))
    assert not list(tmp_path.iterdir())
