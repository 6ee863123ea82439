import dataclasses
import logging
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.config import from_json
from vqvae.data import ArrayDataset, FileDataset, ImageFolderConfig
from vqvae.data.split import is_held_out
from vqvae.errors import ConfigError, DataError
from vqvae.media.images import read_image
from vqvae.signals import pictures


def _fill(folder, count, start=0, suffix="png"):
    """Write images whose every pixel tells their number."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        Image.new("RGB", (9, 8), (number % 256, number // 256, 7)).save(folder / f"{number:03d}.{suffix}")


def _numbers(dataset):
    x = dataset.batch(np.arange(len(dataset))).x
    return (x[:, 0, 0, 0].int() + 256 * x[:, 1, 0, 0].int()).tolist()


@pytest.fixture
def folder(tmp_path):
    """120 images in a flat folder."""
    _fill(tmp_path / "images", 120)
    return tmp_path / "images"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("memory_gib", [2.0, 0.0])
def test_a_flat_folder_is_split_by_the_hash_of_the_path(folder, memory_gib):
    train, held_out = ImageFolderConfig(path=str(folder), size=8, memory_gib=memory_gib).build()
    expected = [number for number in range(120) if is_held_out(f"{number:03d}.png")]
    assert _numbers(held_out) == expected
    assert _numbers(train) == [number for number in range(120) if number not in expected]
    assert isinstance(train, FileDataset if memory_gib == 0 else ArrayDataset)


def test_files_and_memory_give_the_same_batches(tmp_path):
    random = np.random.default_rng(0)
    for kind in ("a", "b"):
        (tmp_path / "images" / kind).mkdir(parents=True)
        for number in range(60):
            pixels = random.integers(0, 256, (20, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / kind / f"{number}.jpg")
    memory, files = (
        ImageFolderConfig(path=str(tmp_path / "images"), size=8, classes=True, mirror=True, memory_gib=gib).build() for gib in (2.0, 0.0)
    )
    for one, other in zip(memory, files, strict=True):
        assert (len(one), one.name, one.label_names) == (len(other), other.name, other.label_names)
        indices = np.array([len(one) - 1, 0, 2, 2, len(one) // 2])
        assert torch.equal(one.batch(indices).x, other.batch(indices).x)
        assert torch.equal(one.batch(indices).condition.label, other.batch(indices).condition.label)


def test_train_and_val_folders_are_the_split(tmp_path):
    _fill(tmp_path / "train" / "deep", 6)
    _fill(tmp_path / "val", 2, start=100)
    _fill(tmp_path / "test", 2, start=200)
    train, held_out = ImageFolderConfig(path=str(tmp_path), size=8).build()
    assert (_numbers(train), _numbers(held_out)) == (list(range(6)), [100, 101])


def test_val_without_train_is_an_error(tmp_path):
    _fill(tmp_path / "val", 2)
    with pytest.raises(DataError, match="no train/ beside it"):
        ImageFolderConfig(path=str(tmp_path), size=8).build()


def test_sub_folders_are_classes_where_asked(tmp_path):
    for side, kinds in (("train", ("cat", "dog", "emu")), ("val", ("dog", "emu"))):
        for kind in kinds:
            _fill(tmp_path / side / kind, 2)
    train, held_out = ImageFolderConfig(path=str(tmp_path), size=8, classes=True).build()
    assert train.label_names == held_out.label_names == ("cat", "dog", "emu")
    assert train.batch(np.arange(6)).condition.label.tolist() == [0, 0, 1, 1, 2, 2]
    assert held_out.batch(np.arange(4)).condition.label.tolist() == [1, 1, 2, 2]
    assert ImageFolderConfig(path=str(tmp_path), size=8, classes=False).build().train.batch(np.arange(1)).condition.label is None
    assert ImageFolderConfig(path=str(tmp_path), size=8).build().train.label_names == train.label_names
    _fill(tmp_path / "val" / "fox", 1)
    assert ImageFolderConfig(path=str(tmp_path), size=8).build().train.label_names == ()
    with pytest.raises(DataError, match=r"\['fox'\] have held-out images but none to train on"):
        ImageFolderConfig(path=str(tmp_path), size=8, classes=True).build()


def test_an_image_without_a_class_is_named(folder, caplog):
    assert ImageFolderConfig(path=str(folder), size=8, classes=True).build().train.label_names == ()
    assert "There are no classes" in caplog.text
    _fill(folder / "cat", 2, start=300)
    with pytest.raises(DataError, match=r"000\.png lies in no sub-folder"):
        ImageFolderConfig(path=str(folder), size=8, classes=True).build()


def test_mirror_adds_a_copy_of_the_training_side(tmp_path):
    for side in ("train", "val"):
        (tmp_path / side).mkdir()
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / side / "a.png")
    train, held_out = ImageFolderConfig(path=str(tmp_path), size=8, mirror=True).build()
    assert (len(train), len(held_out)) == (2, 1)
    x = train.batch(np.array([1, 0])).x
    assert torch.equal(x[0], x[1].flip(-1)) and not torch.equal(x[0], x[1])


def test_what_is_not_an_image_is_ignored(folder):
    (folder / "notes.txt").write_text("text")
    (folder / ".hidden.png").write_text("not an image")
    (folder / ".trash").mkdir()
    (folder / ".trash" / "a.png").write_text("not an image")
    (folder / "empty.png.d").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "999.JPeG")
    (folder / "loop").symlink_to(folder)
    assert sum(map(len, ImageFolderConfig(path=str(folder), size=8).build())) == 121


@pytest.mark.parametrize("memory_gib", [2.0, 0.0])
def test_bad_files_stop_the_build_and_are_named(folder, memory_gib):
    whole = (folder / "000.png").read_bytes()
    for number in range(10, 17):
        (folder / f"{number:03d}.png").write_bytes(whole[:-30])
    (folder / "010.png").write_text("not an image")
    with pytest.raises(
        DataError, match=r"7 of 120 image files cannot be decoded:(?s:.)*010\.png(?s:.)*not a PNG(?s:.)*and 2 more(?s:.)*--skip-bad"
    ):
        ImageFolderConfig(path=str(folder), size=8, memory_gib=memory_gib).build()


@pytest.mark.parametrize("memory_gib", [2.0, 0.0])
def test_bad_files_are_listed_and_skipped_where_asked(folder, memory_gib, caplog, tmp_path):
    bad = [number for number in range(120) if not is_held_out(f"{number:03d}.png")][:2]
    names = {}
    for number in bad:
        names[number] = ImageFolderConfig(path=str(folder), size=8, skip_bad=True, memory_gib=memory_gib).build().train.name
        path = folder / f"{number:03d}.png"
        # Of the same length, so that only the decoder can tell; and not the remembered result of an earlier check.
        path.write_bytes(b"?" * path.stat().st_size)
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    with caplog.at_level(logging.WARNING):
        train, _ = ImageFolderConfig(path=str(folder), size=8, skip_bad=True, memory_gib=memory_gib).build()
    assert all(f"{number:03d}.png cannot be decoded" in caplog.text for number in bad)
    assert not set(bad) & set(_numbers(train))
    assert len({*names.values(), train.name}) == 3


def test_a_check_is_remembered_only_while_the_files_are_the_same(folder, monkeypatch):
    read = []
    monkeypatch.setattr("vqvae.data.images.read_image", lambda path, **more: (read.append(path), read_image(path, **more))[1])
    config = ImageFolderConfig(path=str(folder), size=8, memory_gib=0.0)
    for expected in (120, 0):
        read.clear()
        config.build()
        assert len(read) == expected
    train_file = next(folder / f"{number:03d}.png" for number in range(120) if not is_held_out(f"{number:03d}.png"))
    good = train_file.read_bytes()
    train_file.write_bytes(b"?" * (len(good) + 1))
    with pytest.raises(DataError, match=train_file.name):
        config.build()
    # A file that is bad is looked at again every time: it may be mended without a change of its length.
    train_file.write_bytes(good + b" ")
    config.build()


def test_no_folder_and_no_images_are_explained(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        ImageFolderConfig(path=str(tmp_path / "none"), size=8).build()
    with pytest.raises(DataError, match="holds no image files"):
        ImageFolderConfig(path=str(tmp_path), size=8).build()
    (tmp_path / "val").mkdir()
    _fill(tmp_path / "train", 2)
    with pytest.raises(DataError, match="val should be held out, but it holds no files"):
        ImageFolderConfig(path=str(tmp_path), size=8).build()
    with pytest.raises(ConfigError, match="size is 0"):
        ImageFolderConfig(path=str(tmp_path), size=0).build()


def test_the_name_follows_files_and_settings(folder):
    names = [ImageFolderConfig(path=str(folder), size=size).build().train.name for size in (8, 8, 4)]
    _fill(folder, 3, start=500)
    names.append(ImageFolderConfig(path=str(folder), size=8).build().train.name)
    assert names[0] == names[1] and len(set(names)) == 3


def test_two_pictures_are_enough(tmp_path):
    for trial in range(5):
        _fill(tmp_path / str(trial), 2, start=2 * trial)
        assert [len(side) for side in ImageFolderConfig(path=str(tmp_path / str(trial)), size=8).build()] == [1, 1]


@pytest.mark.parametrize("other", ["test", "Valid", "VALIDATION", "dev", "eval"])
def test_a_side_by_any_name_is_held_out(tmp_path, other):
    _fill(tmp_path / "Train", 6)
    _fill(tmp_path / other, 2, start=100)
    train, held_out = ImageFolderConfig(path=str(tmp_path), size=8).build()
    assert (_numbers(train), _numbers(held_out)) == (list(range(6)), [100, 101])


def test_only_test_beside_classes_is_held_out(tmp_path):
    for kind in ("cat", "dog"):
        _fill(tmp_path / kind, 3)
        _fill(tmp_path / "test" / kind, 2, start=100)
    train, held_out = ImageFolderConfig(path=str(tmp_path), size=8).build()
    assert train.label_names == held_out.label_names == ("cat", "dog")
    assert (max(_numbers(train)), min(_numbers(held_out))) == (2, 100)


def test_old_settings_keep_their_meaning(tmp_path):
    _fill(tmp_path / "cat", 3)
    _fill(tmp_path / "dog", 3)
    old = {"kind": "ImageFolderConfig", "path": str(tmp_path), "size": 8, "mirror": False, "skip_bad": False, "memory_gib": 2.0}
    names = {flag: from_json(ImageFolderConfig, {**old, "classes": flag}).build().train.label_names for flag in (False, True)}
    assert names == {False: (), True: ("cat", "dog")}


@pytest.mark.parametrize("memory_gib", [2.0, 0.0])
@pytest.mark.parametrize(("channels", "levels"), [(1, 256), (1, 65_536), (3, 65_536)])
def test_channels_levels_and_height_and_width(tmp_path, memory_gib, channels, levels):
    values = np.arange(12 * 20, dtype=np.uint16).reshape(12, 20) * 200
    for number in range(3):
        Image.fromarray(values + number).save(tmp_path / f"{number}.png")
    config = ImageFolderConfig(path=str(tmp_path), size=(12, 20), channels=channels, levels=levels, memory_gib=memory_gib)
    train, held_out = config.build()
    x = train.batch(np.arange(len(train))).x
    assert x.shape == (2, channels, 12, 20) and train.signal == held_out.signal == pictures(channels, levels)
    assert train.signal.check(x).dtype == (torch.uint8 if levels == 256 else torch.int32)
    assert len(x.unique()) > 150 if levels == 256 else len(x.unique()) > 240


def test_floats_need_a_range(tmp_path):
    for number in range(3):
        Image.fromarray(np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)).save(tmp_path / f"{number}.tif")
    x = ImageFolderConfig(path=str(tmp_path), size=8, channels=1, bounds=(-1, 1)).build().train.batch(np.arange(1)).x
    assert (x.min(), x.max()) == (0, 255)
    with pytest.raises(DataError, match="without a stated range"):
        ImageFolderConfig(path=str(tmp_path), size=8).build()


@pytest.mark.parametrize("memory_gib", [2.0, 0.0])
def test_random_crops_show_more_of_the_training_side_only(tmp_path, memory_gib):
    for side in ("train", "test"):
        (tmp_path / side).mkdir()
        for number in range(2):
            Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (8, 1))).save(tmp_path / side / f"{number}.png")
    config = ImageFolderConfig(path=str(tmp_path), size=8, crop="random", mirror=True, memory_gib=memory_gib)
    train, held_out = config.build()
    assert (len(train), len(held_out)) == (16, 2)
    left = train.batch(np.arange(8)).x[:, 0, 0, 0]
    assert len(left.unique()) == 8 and held_out.batch(np.arange(2)).x[:, 0, 0, 0].tolist() == [96, 96]
    assert torch.equal(train.batch(np.arange(8, 16)).x, train.batch(np.arange(8)).x.flip(-1))
    again = config.build().train
    assert again.name == train.name and torch.equal(again.batch(np.arange(16)).x, train.batch(np.arange(16)).x)
    assert dataclasses.replace(config, crop="centre").build().train.name != train.name


def test_what_was_found_is_said(tmp_path, caplog):
    for side in ("train", "val"):
        for kind in range(60):
            _fill(tmp_path / side / f"class {kind:02d}", 2)
    (tmp_path / "notes.txt").touch()
    with caplog.at_level(logging.INFO):
        splits = ImageFolderConfig(path=str(tmp_path), size=(8, 12), channels=1).build()
    words = [record.message for record in caplog.records]
    assert words[:2] == ["Training on train/, holding out val/.", "120 images to train on, 120 held out; ignoring 1 .txt."]
    assert words[2].startswith("8 x 12 pixels, grey, 256 levels, 60 classes: class 00, class 01, ") and max(map(len, words)) <= 120
    assert splits.held_out.found[:2] == tuple(words[:2]) and splits.held_out.found[2].endswith("class 59."), "whole, for the report"


@pytest.mark.parametrize("size", [10**9, 2**31 - 1, (2**31 - 1, 1000)])
def test_a_size_beyond_the_memory_is_an_error_before_anything_is_read(tmp_path, size):
    _fill(tmp_path, 2)
    with pytest.raises(ConfigError, match=r"A picture of the size .* takes .* GiB of memory"):
        ImageFolderConfig(path=str(tmp_path), size=size).build()
