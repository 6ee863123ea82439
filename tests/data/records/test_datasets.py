"""Examples of data sets and rows of arrays as records."""

import pickle

import numpy as np
import pytest
import torch

from vqvae.data import AudioFolderConfig, SyntheticImagesConfig, write_audio
from vqvae.data.base import Dataset
from vqvae.data.records.base import BadRecord
from vqvae.data.records.datasets import ArrayRecords, DatasetRecords
from vqvae.errors import ConfigError, DataError

DATA = SyntheticImagesConfig(count=40, size=8, classes=3)


def test_examples_are_items():
    records = DatasetRecords(DATA)
    assert records.facts.items == 40 and records.facts.label_names == ("disc", "square", "cross")
    assert len(pickle.dumps(records)) < 2000, "each process builds the data for itself"
    found, batch = list(pickle.loads(pickle.dumps(records)).read(15, 35)), DATA.build().train.batch(np.arange(15, 35))
    assert [record.id for record in found] == [f"train/{number}" for number in range(15, 35)]
    assert [record.label for record in found] == batch.condition.label.tolist()
    assert all(torch.equal(record.data, x) for record, x in zip(found, batch.x, strict=True))
    other = DatasetRecords(DATA, "held-out")
    assert other.facts.digest != records.facts.digest and next(iter(other.read(0, 1))).id == "held-out/0"
    with pytest.raises(ConfigError, match="'test'"):
        DatasetRecords(DATA, "test")


def test_padding_is_cut_off(tmp_path):
    for name, length in (("a", 700), ("b", 300), ("c", 700), ("d", 300)):
        wave = np.random.default_rng(length).uniform(-1, 1, length).astype(np.float32)
        write_audio(tmp_path / "data" / f"{name}.wav", wave, 16_000)
    data = AudioFolderConfig(path=str(tmp_path / "data"), cache=str(tmp_path / "cache"), chunk=512, hop=128)
    records = DatasetRecords(data)
    lengths = [record.data.shape[-1] for record in records.read(0, records.facts.items)]
    assert len(lengths) == 3 and set(lengths) == {512, 300}


class _Broken(Dataset):
    """A data set with a bad example."""

    name = "broken"

    def build(self):
        return self, self

    def __len__(self):
        return 20

    def batch(self, indices):
        if 3 in indices:
            raise DataError("the example 3 is damaged")
        return DATA.build().train.batch(indices)


def test_a_bad_example_spoils_no_other():
    found = list(DatasetRecords(_Broken()).read(0, 20))
    assert [record.id for record in found] == [f"train/{number}" for number in range(20)]
    assert [isinstance(record, BadRecord) for record in found] == [number == 3 for number in range(20)]
    assert found[3].error == "the example 3 is damaged"


def test_rows_of_an_array_are_items(tmp_path):
    array = np.arange(24).reshape(4, 2, 3)
    np.save(tmp_path / "x.npy", array)
    records = pickle.loads(pickle.dumps(ArrayRecords(tmp_path / "x.npy")))
    found = list(records.read(1, 3))
    assert records.facts.items == 4 and [record.id for record in found] == ["x.npy#1", "x.npy#2"]
    assert np.array_equal(found[1].data, array[2])
    assert "_unpacked" not in vars(records), "a mapped file is closed after each part"
    np.savez_compressed(tmp_path / "z.npz", array)
    packed = ArrayRecords(tmp_path / "z.npz")
    assert [record.data.tolist() for record in packed.read(1, 3)] == array[1:3].tolist() and "_unpacked" in vars(packed)
    assert len(list(pickle.loads(pickle.dumps(packed)).read(0, 4))) == 4
    np.save(tmp_path / "y.npy", np.arange(3))
    with pytest.raises(DataError, match=r"y.npy holds an array of the shape \(3,\)"):
        ArrayRecords(tmp_path / "y.npy")
