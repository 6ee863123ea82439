import dataclasses
import math
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqvae.data import ArrayConfig, ArrayDataset
from vqvae.data.arrays import open_source
from vqvae.data.split import is_held_out
from vqvae.errors import ConfigError, DataError


def _pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _rows(side, count=200):
    return [row for row in range(count) if is_held_out(str(row)) is (side == "held out")]


@pytest.mark.parametrize(
    ("shape", "to_channels_first"),
    [
        ((200, 6, 5), lambda x: x[:, None]),
        ((200, 6, 5, 3), lambda x: x.transpose(0, 3, 1, 2)),
        ((200, 6, 5, 1), lambda x: x.transpose(0, 3, 1, 2)),
        ((200, 3, 6, 5), lambda x: x),
    ],
)
def test_npy_of_every_layout_is_split_by_row(tmp_path, shape, to_channels_first):
    pixels = _pixels(*shape)
    np.save(tmp_path / "a.npy", pixels)
    train, held_out = ArrayConfig(path=str(tmp_path / "a.npy")).build()
    for dataset, side in ((train, "train"), (held_out, "held out")):
        expected = to_channels_first(pixels)[_rows(side)]
        np.testing.assert_array_equal(dataset.batch(np.arange(len(dataset))).x.numpy(), expected)


def test_npz_with_both_sides_and_labels(tmp_path):
    arrays = {"x_train": _pixels(20, 8, 8, 3), "y_train": np.arange(20) % 7, "x_val": _pixels(4, 8, 8, 3), "y_val": np.arange(4)}
    np.savez(tmp_path / "a.npz", **arrays)
    train, held_out = ArrayConfig(path=str(tmp_path / "a.npz")).build()
    assert (len(train), len(held_out)) == (20, 4)
    assert train.batch(np.array([8, 3])).condition.label.tolist() == [1, 3]
    assert train.label_names == held_out.label_names == tuple("0123456")


def test_npz_with_x_and_y_is_split_by_row(tmp_path):
    np.savez(tmp_path / "a.npz", x=_pixels(200, 8, 8), y=np.arange(200))
    train, held_out = ArrayConfig(path=str(tmp_path / "a.npz")).build()
    assert held_out.batch(np.arange(len(held_out))).condition.label.tolist() == _rows("held out")
    assert train.batch(np.array([0])).condition.label.tolist() == _rows("train")[:1]


def test_npz_with_one_array_of_any_name(tmp_path):
    np.savez(tmp_path / "a.npz", _pixels(200, 8, 8))
    assert len(ArrayConfig(path=str(tmp_path / "a.npz")).build().train) == len(_rows("train"))


def test_mirror_doubles_the_training_side_only(tmp_path):
    np.save(tmp_path / "a.npy", _pixels(200, 6, 5))
    plain, mirrored = (ArrayConfig(path=str(tmp_path / "a.npy"), mirror=mirror).build() for mirror in (False, True))
    count = len(plain.train)
    assert len(mirrored.train) == 2 * count and len(mirrored.held_out) == len(plain.held_out)
    both = mirrored.train.batch(np.array([3, count + 3])).x
    assert torch.equal(both[0], plain.train.batch(np.array([3])).x[0])
    assert torch.equal(both[1], both[0].flip(-1)) and not torch.equal(both[0], both[1])
    assert plain.train.name != mirrored.train.name


def test_the_name_follows_the_content(tmp_path):
    pixels = _pixels(200, 6, 5)
    names = []
    for value in (0, 1, 0):
        pixels[0, 0, 0] = value
        np.save(tmp_path / "a.npy", pixels)
        names.append(ArrayConfig(path=str(tmp_path / "a.npy")).build().train.name)
    assert names[0] == names[2] != names[1]


def test_a_channel_axis_that_cannot_be_told_is_asked_for(tmp_path):
    np.save(tmp_path / "a.npy", _pixels(200, 3, 5, 3))
    with pytest.raises(DataError, match="unclear which axis holds the channels"):
        ArrayConfig(path=str(tmp_path / "a.npy")).build()
    train = ArrayConfig(path=str(tmp_path / "a.npy"), layout="channels_last").build().train
    assert train.batch(np.array([0])).x.shape == (1, 3, 3, 5)


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("a.npy", np.zeros((9, 4, 4), np.complex64), "Give real and imaginary parts"),
        ("a.npy", np.full((9, 4, 4), np.nan), "not finite"),
        ("a.npy", np.zeros(9, np.uint8), "windows of 8 need at least 16"),
        ("a.npy", np.zeros((2,) * 6, np.uint8), "1 to 5 axes are expected"),
        ("a.npy", np.zeros((0, 4, 4), np.uint8), "it is empty"),
        ("a.npy", np.array([{}], dtype=object), "cannot be read"),
        ("a.npz", {"a": np.zeros(1), "b": np.zeros(1)}, "name them x_train and x_val"),
        ("a.npz", {"x_train": np.zeros((9, 4, 4), np.uint8)}, "neither x_val nor x_test"),
        ("a.npz", {"x": np.zeros((9, 4, 4), np.uint8), "y": np.zeros(8, np.int64)}, r"integers from 0 with shape \(9,\)"),
        ("a.npz", {"x": np.zeros((9, 4, 4), np.uint8), "y": np.zeros(9)}, "'y', is float64"),
        ("a.npz", {"x_train": np.zeros((9, 4, 4), np.uint8), "x_val": np.zeros((9, 5, 4), np.uint8)}, "unequal shape"),
    ],
)
def test_wrong_files_are_explained(tmp_path, name, arrays, message):
    path = tmp_path / name
    np.savez(path, **arrays) if isinstance(arrays, dict) else np.save(path, arrays, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        ArrayConfig(path=str(path)).build()


def test_files_that_are_missing_or_no_arrays_are_named(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    (tmp_path / "a.txt").touch()
    for name, message in (("none.npy", "There is no file"), ("a.npz", "cannot be read"), ("a.txt", "neither .npy nor .npz")):
        with pytest.raises(DataError, match=message):
            ArrayConfig(path=str(tmp_path / name)).build()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 15), max_size=20), st.booleans())
def test_any_indices_give_those_examples(indices, channels_last):
    pixels = _pixels(16, 4, 5, 3) if channels_last else _pixels(16, 3, 4, 5)
    dataset = ArrayDataset(pixels, name="x", channels_last=channels_last)
    expected = pixels[np.array(indices, np.int64)]
    expected = expected.transpose(0, 3, 1, 2) if channels_last else expected
    np.testing.assert_array_equal(dataset.batch(np.array(indices, np.int64)).x.numpy(), expected)


def test_a_batch_is_a_copy():
    pixels = _pixels(4, 3, 4, 4)
    before = pixels.copy()
    ArrayDataset(pixels, name="x").batch(np.arange(4)).x.zero_()
    np.testing.assert_array_equal(pixels, before)


def _bomb(path, **members):
    """An .npz whose arrays are zeros, compressed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
                for _ in range(math.prod(shape) // 2**24):
                    file.write(bytes(2**24))


def test_an_array_that_nobody_asks_for_is_not_unpacked_and_a_bomb_is_refused(tmp_path):
    np.savez(tmp_path / "small.npz", x=_pixels(20, 8, 8))
    _bomb(tmp_path / "bomb.npz", x=(2**5, 2**12, 2**12))
    with pytest.raises(DataError, match="unpacks from"):
        ArrayConfig(path=str(tmp_path / "bomb.npz")).build()
    _bomb(tmp_path / "unused.npz", x=(2, 2**12, 2**12), notes=(2**5, 2**12, 2**12))
    tracemalloc.start()
    assert ArrayConfig(path=str(tmp_path / "unused.npz")).build().train.signal.levels == 2
    assert tracemalloc.get_traced_memory()[1] < 2**29
    tracemalloc.stop()


def test_labels_may_be_huge_or_words(tmp_path):
    for labels, names in (([7, 10**12] * 10, ("7", str(10**12))), (["cat", "dog"] * 10, ("cat", "dog"))):
        np.savez(tmp_path / "a.npz", x=_pixels(20, 8, 8), y=np.array(labels))
        train = ArrayConfig(path=str(tmp_path / "a.npz")).build().train
        assert train.label_names == names and set(train.batch(np.arange(len(train))).condition.label.tolist()) == {0, 1}


def test_the_content_says_whether_it_is_npy_or_npz(tmp_path):
    np.savez(tmp_path / "a.npz", x=_pixels(20, 8, 8))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    assert ArrayConfig(path=str(tmp_path / "a.npy")).build().train.signal.channels == 1
    with zipfile.ZipFile(tmp_path / "text.npz", "w") as archive:
        archive.writestr("x", b"hello")
    with pytest.raises(DataError, match="holds no arrays"):
        ArrayConfig(path=str(tmp_path / "text.npz")).build()


@pytest.mark.parametrize(
    ("dtype", "levels"), [("?", 2), (np.uint8, 256), (np.uint16, 65_536), (np.int16, None), (np.float64, None), (">f4", None)]
)
def test_levels_follow_the_values(tmp_path, dtype, levels):
    values = np.linspace(-30_000 if dtype == np.int16 else 0, {np.uint8: 255, np.uint16: 65_535}.get(dtype, 1), 20 * 30).reshape(20, 30)
    np.save(tmp_path / "a.npy", values.astype(dtype))
    train = ArrayConfig(path=str(tmp_path / "a.npy")).build().train
    assert train.signal.levels == levels and train.signal.axes == ("time",)
    x = train.signal.check(train.batch(np.arange(2)).x)
    assert x.shape == (2, 1, 30)


def test_sides_and_labels_of_other_names(tmp_path):
    sides = {
        "train_images": _pixels(20, 8, 8),
        "test_images": _pixels(4, 8, 8),
        "train_labels": np.zeros((20, 1), int),
        "note": np.zeros(3),
    }
    np.savez_compressed(tmp_path / "a.npz", **sides, test_labels=np.ones((4, 1), int))
    train, held_out = ArrayConfig(path=str(tmp_path / "a.npz")).build()
    assert (len(train), len(held_out)) == (20, 4)
    assert held_out.batch(np.arange(4)).condition.label.tolist() == [1] * 4


@pytest.mark.parametrize(("shape", "layout"), [((3, 40_000), "auto"), ((40_000, 3), "auto"), ((3, 900), "c t"), ((1, 3, 900), "n c t")])
def test_one_long_recording_is_cut_into_windows(tmp_path, shape, layout):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.save(tmp_path / "a.npy", x)
    config = ArrayConfig(path=str(tmp_path / "a.npy"), layout=layout, window=64)
    train, held_out = config.build()
    series = x.T if shape[-1] == 3 else x.reshape(3, -1)
    np.testing.assert_array_equal(train.batch(np.array([0, 1])).x.numpy(), np.stack([series[:, :64], series[:, 32:96]]))
    assert train.signal.channels == 3 and train.signal.axes == ("time",) and held_out.apart() is held_out
    apart = train.apart()
    assert len(apart) == -(-len(train) // 2) and np.array_equal(apart.batch(np.array([1])).x[0].numpy(), series[:, 64:128])
    words = open_source(config).describe()
    assert "one recording of" in words and "windows of 64 to train on" in words and "held out" in words
    assert held_out.found == (words,)
    assert train.name != dataclasses.replace(config, window=32).build().train.name


def test_two_recordings_are_two_sides(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.zeros((2, 40_000), np.float32), x_test=np.ones((2, 35_000), np.float32), y=np.arange(2))
    train, held_out = ArrayConfig(path=str(tmp_path / "a.npz")).build()
    assert train.batch(np.arange(len(train))).x.max() == 0 and held_out.batch(np.arange(len(held_out))).x.min() == 1
    assert train.label_names == () and "not used: y" in open_source(ArrayConfig(path=str(tmp_path / "a.npz"))).describe()


def test_a_window_of_many_examples_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((200, 40), np.float32))
    with pytest.raises(ConfigError, match="data.window cuts one long recording"):
        ArrayConfig(path=str(tmp_path / "a.npy"), window=8).build()
