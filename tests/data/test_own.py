"""Data of the caller's own."""

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.data import SyntheticImagesConfig
from vqvae.data.base import Batch, Condition, Splits
from vqvae.data.own import ItemsDataset, dataset_of, splits_of
from vqvae.errors import ConfigError, DataError
from vqvae.signals import Signal, pictures

SERIES = np.random.default_rng(0).normal(size=(40, 5, 12)).astype(np.float32)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 3, 8, 6), dtype=np.uint8)
FIRST = np.array([0, 3, 3])


class Plain:
    """The least that a data set of one's own has; it knows nothing of the package but the signal."""

    signal = Signal(axes=("time",), channels=5)

    def __len__(self) -> int:
        return len(SERIES)

    def batch(self, indices: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(SERIES[indices])


class Items(torch.utils.data.Dataset):
    """A data set of PyTorch."""

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(IMAGES[index]), index % 3


@pytest.mark.parametrize(
    ("data", "x", "signal"),
    [
        (SERIES, SERIES, Signal(axes=("time",), channels=5)),
        (SERIES.astype(np.float64), SERIES, Signal(axes=("time",), channels=5)),
        (torch.from_numpy(SERIES), SERIES, Signal(axes=("time",), channels=5)),
        (IMAGES, IMAGES, pictures()),
        (IMAGES.astype(np.uint16) * 4, IMAGES.astype(np.int32) * 4, pictures(levels=4 * int(IMAGES.max()) + 1)),
        (IMAGES[:, :, None], IMAGES[:, :, None], Signal(axes=("time", "height", "width"), channels=3, levels=256)),
        (Plain(), SERIES, Plain.signal),
        (Items(), IMAGES, pictures()),
        ([Image.fromarray(image.transpose(1, 2, 0)) for image in IMAGES], IMAGES, pictures()),
    ],
    ids=["floats", "float64", "tensor", "pictures", "uint16", "video", "plain", "torch", "pillow"],
)
def test_what_comes_is_found_by_looking(data: object, x: np.ndarray, signal: Signal) -> None:
    found = dataset_of(data)
    assert found.signal == signal and len(found) == len(x)
    batch = found.batch(FIRST)
    assert batch.x.dtype == signal.dtype and np.array_equal(batch.x.numpy(), x[FIRST])


def test_data_sets_of_hugging_face() -> None:
    features = datasets.Features({"id": datasets.Value("int64"), "image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"id": list(range(30)), "image": [Image.fromarray(one.transpose(1, 2, 0)) for one in IMAGES], "label": [0, 1] * 15}
    found = dataset_of(datasets.Dataset.from_dict(rows, features=features))
    assert found.signal == pictures() and found.label_names == ("a", "b")
    batch = found.batch(FIRST)
    assert np.array_equal(batch.x.numpy(), IMAGES[FIRST]) and batch.condition.label.tolist() == [0, 1, 1]
    arrays = datasets.Dataset.from_dict({"series": SERIES.tolist()}).with_format("numpy")
    assert np.array_equal(dataset_of(arrays).batch(FIRST).x.numpy(), SERIES[FIRST])


def test_a_twentieth_is_held_out_and_stays_so() -> None:
    splits, again = splits_of(SERIES), splits_of(SERIES.copy())
    assert splits.train.name == again.train.name and splits.train.name != splits_of(SERIES + 1).train.name
    assert len(splits.held_out) >= 1 and len(splits.train) + len(splits.held_out) == 40
    rows = [side.batch(np.arange(len(side))).x for side in splits]
    assert sorted(torch.cat(rows)[:, 0, 0].tolist()) == sorted(SERIES[:, 0, 0].tolist())
    assert splits.train.name != splits.held_out.name


def test_held_out_data_of_ones_own() -> None:
    splits = splits_of(SERIES[:30], held_out=SERIES[30:])
    assert (len(splits.train), len(splits.held_out)) == (30, 10)
    config = SyntheticImagesConfig(count=8, size=4)
    assert isinstance(splits_of(config), Splits) and splits_of(splits) is splits


@pytest.mark.parametrize("also", [{"held_out": np.zeros((4, 3, 8, 8), np.uint8)}, {"signal": pictures()}])
def test_settings_say_themselves_what_is_held_out_and_what_data_is(also: dict) -> None:
    for data in (SyntheticImagesConfig(count=40, size=8), SyntheticImagesConfig(count=40, size=8).build()):
        with pytest.raises(ConfigError, match="already has a held-out side"):
            splits_of(data, **also)


def test_batches_of_ones_own_may_have_conditions() -> None:
    class Labelled(Plain):
        name, label_names = "mine", ("a", "b")

        def batch(self, indices: np.ndarray) -> Batch:
            return Batch(super().batch(indices), Condition(label=torch.from_numpy(indices % 2)))

    found = dataset_of(Labelled())
    assert found.name == "mine" and found.label_names == ("a", "b")
    assert found.batch(FIRST).condition.label.tolist() == [0, 1, 1]


def test_what_is_no_data_says_what_is() -> None:
    with pytest.raises(ConfigError, match="Data came as int; settings such as ArrayConfig"):
        splits_of(3)
    with pytest.raises(DataError, match=r"\(40, 12\); \(n, channels, \*axes\) is expected. Add the axis of channels"):
        splits_of(SERIES[:, 0])
    with pytest.raises(DataError, match=r"\(30, 8, 6, 3\); \(n, channels, height, width\) is expected: x.transpose"):
        splits_of(IMAGES.transpose(0, 2, 3, 1))
    with pytest.raises(DataError, match="complex64; expected integers from 0 up, or floats"):
        splits_of(SERIES.astype(np.complex64))
    with pytest.raises(DataError, match="holds a str"):
        splits_of(["a", "b"])
    with pytest.raises(DataError, match="no items"):
        dataset_of([])
    with pytest.raises(DataError, match="at least 2 are needed"):
        splits_of(SERIES[:1])
    spoilt = SERIES.copy()
    spoilt[7, 0, 0] = np.nan
    with pytest.raises(DataError, match="finite floats"):
        dataset_of(spoilt).batch(np.array([7]))
    with pytest.raises(DataError, match="shapes"):
        dataset_of([np.zeros((1, 4)), np.zeros((1, 5))]).batch(np.array([0, 1]))

    class Short(Plain):
        def batch(self, indices: np.ndarray) -> torch.Tensor:
            return super().batch(indices)[:1]

    with pytest.raises(DataError, match="gave 1 examples for 3 indices"):
        dataset_of(Short()).batch(FIRST)


LEVELS = Signal(axes=("time",), channels=2, levels=256)


@pytest.mark.parametrize(
    ("x", "came"),
    [
        (np.full((4, 2, 8), 265), "int64 from 265 to 265"),
        (np.full((4, 2, 8), -5), "int64 from -5 to -5"),
        (np.full((4, 2, 8), 0.5), "float64 from 0.5 to 0.5"),
        (np.full((4, 2, 8), np.nan), "float64 from nan to nan"),
    ],
)
def test_data_is_looked_at_before_it_is_cast(x: np.ndarray, came: str) -> None:
    for data in (x, list(x)):
        with pytest.raises(DataError, match=f"Data came as {came}; expected torch.uint8 with levels from 0 to 255"):
            dataset_of(data, LEVELS).batch(np.arange(2))


def test_later_items_have_no_other_levels_than_the_first() -> None:
    first = np.zeros((2, 8), np.uint8)
    with pytest.raises(DataError, match="from 0 to 300"):
        dataset_of([first, first.astype(np.int64) + 300]).batch(np.arange(2))


def test_negative_levels_are_no_signal() -> None:
    with pytest.raises(DataError, match="int64 from -1; expected integers from 0 up"):
        dataset_of(np.full((4, 2, 8), -1))


@pytest.mark.parametrize("x", [SERIES.astype(">f4"), SERIES.astype(np.float64), torch.from_numpy(SERIES).bfloat16()])
def test_floats_of_any_type_become_float32(x: object) -> None:
    found = dataset_of(x).batch(np.arange(40)).x
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, SERIES, rtol=1e-2, atol=1e-2)


def test_floats_of_ones_own_data_set_become_float32() -> None:
    class Double(Plain):
        def batch(self, indices: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(SERIES[indices]).double()

    assert dataset_of(Double()).batch(FIRST).x.dtype == torch.float32


@pytest.mark.parametrize("data", [{"x": SERIES}, np.ma.masked_array(SERIES, SERIES > 0)])
def test_names_and_masks_of_arrays_are_refused(data: object) -> None:
    with pytest.raises(ConfigError, match="give the array alone"):
        dataset_of(data)


def test_an_empty_held_out_side_is_refused() -> None:
    with pytest.raises(DataError, match="has no examples"):
        splits_of(SERIES, held_out=SERIES[:0])


def test_the_name_of_items_tells_them_apart() -> None:
    first, other = [SERIES[0], SERIES[1], SERIES[2]], [SERIES[0], SERIES[1], SERIES[3]]
    assert dataset_of(first).name == dataset_of(first).name != dataset_of(other).name


@pytest.mark.parametrize("label", [-1, 2, "cat", None])
def test_labels_are_numbers_of_names(label: object) -> None:
    data = ItemsDataset([(IMAGES[0], 1), (IMAGES[1], label)], label_names=("a", "b"))
    with pytest.raises(DataError, match=f"has the label {label!r}; a whole number from 0 to 1 is expected"):
        data.batch(np.arange(2))
