import numpy as np
import pytest
from PIL import Image

from tests.data.shards import pngs, samples, write_parquet, write_tar
from vqvae.data import ImageFolderConfig
from vqvae.data.looking import Look, look, look_in_shards


def _save(folder, *sizes, mode="L", suffix="png", seed=0):
    """Noise of these heights and widths."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number, size in enumerate(sizes):
        if mode == "I;16":
            image = Image.fromarray(random.integers(0, 4096, size, dtype=np.uint16))
        else:
            image = Image.fromarray(random.integers(0, 256, (*size, 3), dtype=np.uint8)).convert(mode)
        image.save(folder / f"{number}.{suffix}")


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)], 28),
        ([(32, 48)], (32, 48)),
        ([(30, 45)], (30, 45)),
        ([(28, 140)], (28, 140)),
        ([(3, 2)], (3, 2)),
        ([(64, 64)], 64),
        ([(100, 90)], 64),
        ([(500, 20)], 20),
        ([(20, 30), (21, 40), (70, 80)], 21),
    ],
)
def test_small_images_keep_their_size(tmp_path, sizes, expected):
    _save(tmp_path, *sizes * 4)
    assert look(str(tmp_path)).size == expected


def test_turned_images_are_measured_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(3):
        Image.new("RGB", (48, 32), (200, 10, 10)).save(tmp_path / f"{number}.jpg", exif=exif)
    assert look(str(tmp_path)).size == (48, 32)
    assert ImageFolderConfig(path=str(tmp_path), size=(48, 32)).build().train.batch(np.arange(1)).x.shape == (1, 3, 48, 32)


@pytest.mark.parametrize(
    ("mode", "suffix", "channels", "levels"),
    [
        ("L", "png", 1, 256),
        ("LA", "png", 1, 256),
        ("1", "png", 1, 256),
        ("L", "jpg", 1, 256),
        ("I;16", "png", 1, 65_536),
        ("I;16", "tif", 1, 65_536),
        ("RGB", "png", 3, 256),
        ("P", "png", 3, 256),
        ("RGB", "webp", 3, 256),
    ],
)
def test_greys_and_deep_greys_are_seen(tmp_path, mode, suffix, channels, levels):
    _save(tmp_path, *[(8, 8)] * 3, mode=mode, suffix=suffix)
    found = look(str(tmp_path))
    assert (found.channels, found.levels) == (channels, levels)


def test_greys_that_are_saved_as_colours_are_greys_unless_one_has_a_colour(tmp_path):
    _save(tmp_path, *[(8, 8)] * 3)
    for place in tmp_path.iterdir():
        Image.open(place).convert("RGB").save(place)
    assert look(str(tmp_path)).channels == 1
    Image.new("RGB", (8, 8), (0, 0, 1)).save(tmp_path / "0.png")
    Image.new("RGB", (8, 8), (0, 0, 1)).save(tmp_path / "1.png")
    assert look(str(tmp_path)).channels == 3


def test_classes_and_the_number_of_images(tmp_path):
    for side, count in (("train", 6), ("test", 2)):
        for kind in ("cat", "dog"):
            _save(tmp_path / side / kind, *[(16, 16)] * count)
    (tmp_path / "train" / "cat" / "0.png").write_text("damaged")
    assert look(str(tmp_path)) == Look(count=12, size=16, channels=1, levels=256, classes=True)
    _save(tmp_path / "train", (16, 16))
    assert not look(str(tmp_path)).classes


def test_nothing_is_found_where_nothing_is(tmp_path):
    assert look(str(tmp_path / "none")) is None and look(str(tmp_path)) is None
    for number in range(2):
        (tmp_path / f"{number}.png").write_text("no image")
    assert look(str(tmp_path)) is None


def test_shards_are_looked_into(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _save(tmp_path / "greys", *[(12, 10)] * 30, mode="RGB")
    for file in (tmp_path / "greys").iterdir():
        Image.open(file).convert("L").convert("RGB").save(file)
    greys = [file.read_bytes() for file in sorted((tmp_path / "greys").iterdir())]
    write_tar(tmp_path / "a.tar", samples(greys, [number % 2 for number in range(30)]))
    found = look_in_shards(str(tmp_path / "a.tar"))
    assert found == Look(count=found.count, size=(12, 10), channels=1, levels=256, classes=True) and 20 < found.count < 30
    write_parquet(tmp_path / "b.parquet", one=pngs(20, (100, 90)), two=pngs(20, (16, 16)))
    assert look_in_shards(str(tmp_path / "b.parquet"), column="two").size == 16
    assert look_in_shards(str(tmp_path / "b.parquet"), column="one") == look_in_shards(str(tmp_path / "b.parquet"), column="one")
    assert look_in_shards(str(tmp_path / "b.parquet"), column="one")[1:] == (64, 3, 256, False)
    write_tar(tmp_path / "c.tar", samples([b"1", b"2"]))
    assert look_in_shards(str(tmp_path / "c.tar")) is None and look_in_shards(str(tmp_path / "greys")) is None


def test_a_folder_is_what_it_holds_most_of(tmp_path):
    _save(tmp_path, (8, 8), (8, 8))
    write_tar(tmp_path / "0.tar", [])
    assert look(str(tmp_path)).count == 1
    write_tar(tmp_path / "1.tar", [])
    assert look(str(tmp_path)) is None
