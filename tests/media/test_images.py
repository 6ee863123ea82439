import numpy as np
import pytest
from PIL import Image

from vqvae.errors import ConfigError, DataError
from vqvae.media.images import cut, read_image, target_size
from vqvae.media.pictures import to_eight_bits


def test_wide_and_tall_images_keep_their_centre():
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200
    assert (np.asarray(cut(Image.fromarray(pixels), (10, 10))) == 200).all()
    assert (np.asarray(cut(Image.fromarray(pixels.transpose(1, 0, 2)), (10, 10))) == 200).all()


def test_an_image_of_the_right_size_is_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 35, 3), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(cut(Image.fromarray(pixels), (32, 32))), pixels[:, 1:33])


def test_the_resize_is_antialiased():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    small = np.asarray(cut(Image.fromarray(np.stack([board] * 3, -1)), (8, 8)))
    assert np.abs(small.astype(int) - 127).max() <= 2  # A pick of single pixels would give 0 or 255.


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I"])
def test_every_mode_becomes_rgb(mode):
    image = Image.new("RGB", (4, 3), "white")
    image = Image.new(mode, (4, 3), 65535) if mode.startswith("I") else image.convert("L" if mode == "I;16" else mode)
    rgb = to_eight_bits(image)
    assert rgb.mode == "RGB" and rgb.size == (4, 3)
    assert (np.asarray(rgb) >= 254).all()


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    grey = np.array([[0, 257, 200 * 257, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png")[0, 0], [0, 1, 200, 255])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_white(tmp_path, mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    if mode == "P":
        image = Image.new("P", (2, 1), 0)
        image.putpalette([0, 0, 0, 0, 0, 0])
        image.putpixel((1, 0), 1)
        image.info["transparency"] = 0
    image.convert(mode).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[:, 0].tolist() == [[255, 0]] * 3


def test_half_transparent_black_is_grey():
    assert to_eight_bits(Image.new("RGBA", (1, 1), (0, 0, 0, 51))).getpixel((0, 0)) == (204, 204, 204)


def test_the_camera_orientation_is_applied(tmp_path):
    image = Image.fromarray(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was turned: show it rotated by 90 degrees clockwise.
    image.save(tmp_path / "a.png", exif=exif)
    pixels = read_image(tmp_path / "a.png")
    assert pixels.shape == (3, 2, 1)
    assert pixels[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_a_file_that_is_cut_short_is_named(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    assert read_image(path, 8).shape == (3, 8, 8)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=rf"a\.{suffix} cannot be decoded"):
        read_image(path, 8)


def test_text_and_foreign_formats_are_refused(tmp_path):
    (tmp_path / "a.png").write_text("not an image")
    Image.new("RGB", (4, 4)).save(tmp_path / "b.ppm")
    (tmp_path / "b.ppm").rename(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        with pytest.raises(DataError, match="not a PNG, JPEG, WebP, BMP, TIFF, GIF or AVIF image"):
            read_image(tmp_path / name)


def test_sixteen_bits_are_kept_where_asked(tmp_path):
    grey = np.array([[0, 257, 4095, 65535]], np.uint16)
    for name in ("a.png", "a.tif"):
        Image.fromarray(grey).save(tmp_path / name)
        assert read_image(tmp_path / name, channels=1, levels=65_536).tolist() == [grey.tolist()]
        assert read_image(tmp_path / name, levels=65_536).tolist() == [grey.tolist()] * 3
    flat = np.full((8, 12), 4095, np.uint16)
    Image.fromarray(flat).save(tmp_path / "b.png")
    assert (read_image(tmp_path / "b.png", (3, 4), channels=1, levels=65_536) == 4095).all()


def test_floats_have_a_stated_range(tmp_path):
    Image.fromarray(np.array([[-1.0, 0.0, 1.0]], np.float32)).save(tmp_path / "a.tif")
    assert read_image(tmp_path / "a.tif", channels=1, bounds=(-1, 1)).tolist() == [[[0, 128, 255]]]
    assert read_image(tmp_path / "a.tif", channels=1, levels=65_536, bounds=(-1, 1))[0, 0, 2] == 65_535
    with pytest.raises(DataError, match=r"a\.tif cannot be decoded: it holds floats, from -1 to 1, without a stated range"):
        read_image(tmp_path / "a.tif")
    with pytest.raises(DataError, match="values from -1 to 1, outside of 0 to 1"):
        read_image(tmp_path / "a.tif", bounds=(0, 1))


def test_other_channels_and_levels_are_refused(tmp_path):
    for wrong in ({"channels": 2}, {"levels": 4096}):
        with pytest.raises(ConfigError, match="use 1 or 3 channels and 256 or 65536 levels"):
            read_image(tmp_path / "a.png", **wrong)


def test_a_part_of_any_shape_lies_where_it_is_wanted(tmp_path):
    pixels = np.zeros((10, 40, 3), np.uint8)
    pixels[:, 20:] = 200
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = [read_image(tmp_path / "a.png", (5, 10), place=(0, across)) for across in (0, 1)]
    assert [part.shape for part in found] == [(3, 5, 10)] * 2 and not found[0][..., :6].any() and (found[1][..., 4:] == 200).all()


def test_a_jpeg_that_is_decoded_smaller_looks_the_same(tmp_path, monkeypatch):
    down, across = np.mgrid[:640, :960]
    waves = [127 + 60 * np.sin(across / 17 + n) + 60 * np.cos(down / (9 + n)) for n in range(3)]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.stack(waves, -1).astype(np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    found = read_image(tmp_path / "a.jpg", (60, 40)).astype(int)
    monkeypatch.setattr("vqvae.media.pictures.DRAFT", 1000)
    expected = read_image(tmp_path / "a.jpg", (60, 40)).astype(int)
    assert found.shape == (3, 60, 40) and 0 < abs(found - expected).max() <= 3


def test_a_name_of_a_file_will_do(tmp_path):
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    assert read_image(str(tmp_path / "a.png")).shape == (3, 3, 4)


@pytest.mark.parametrize("size", [0, -4, 10**6, (4, 0), (10**5, 10**5)])
def test_a_size_out_of_range_takes_no_memory(size: int | tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="height and width must be at least 1, and their product at most 180,000,000"):
        target_size(size)
    assert target_size(3) == (3, 3)
