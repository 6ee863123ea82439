import hashlib
import logging
import tarfile

import numpy as np
import pytest

from vqvae.data import Cifar10Config, cifar10
from vqvae.errors import DataError

_NAMES = [f"data_batch_{number}.bin" for number in range(1, 6)] + ["test_batch.bin"]


@pytest.fixture
def records(monkeypatch, tmp_path):
    """Six files of three records each in the official layout, and their folder."""
    monkeypatch.setattr(cifar10, "_IMAGES_PER_FILE", 3)
    folder = tmp_path / "given" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (6, 3, 3, 32, 32), dtype=np.uint8), random.integers(0, 10, (6, 3, 1), dtype=np.uint8)
    for name, x, y in zip(_NAMES, pixels, labels, strict=True):
        np.concatenate([y, x.reshape(3, -1)], axis=1).tofile(folder / name)
    return pixels, labels, folder


@pytest.mark.parametrize("level", [0, 1])
def test_the_official_layout_is_read_from_the_folder_or_its_parent(records, level, caplog):
    caplog.set_level(logging.INFO)
    pixels, labels, folder = records
    train, held_out = Cifar10Config(path=str([folder, folder.parent][level])).build()
    batch = train.batch(np.arange(15))
    np.testing.assert_array_equal(batch.x.numpy(), pixels[:5].reshape(15, 3, 32, 32))
    assert batch.condition.label.tolist() == labels[:5].ravel().tolist()
    np.testing.assert_array_equal(held_out.batch(np.arange(3)).x.numpy(), pixels[5])
    said = "Images of CIFAR-10, 32 x 32 pixels, RGB, 10 classes: 15 to train on, 3 held out."
    assert train.found == held_out.found == (said,) and said in caplog.messages
    assert train.label_names[3] == held_out.label_names[3] == "cat"


def test_wrong_folders_and_damaged_files_are_named(records, tmp_path):
    _, _, folder = records
    with pytest.raises(DataError, match="holds neither test_batch.bin"):
        Cifar10Config(path=str(tmp_path)).build()
    (folder / "data_batch_2.bin").write_bytes(b"1234")
    with pytest.raises(DataError, match=r"data_batch_2\.bin has 4 bytes; expected 9219"):
        Cifar10Config(path=str(folder)).build()
    (folder / "data_batch_2.bin").write_bytes(b"\xff" * 9219)
    with pytest.raises(DataError, match="label 255"):
        Cifar10Config(path=str(folder)).build()
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_2\.bin is missing"):
        Cifar10Config(path=str(folder)).build()


def test_without_a_path_it_is_downloaded_once(records, monkeypatch, tmp_path):
    pixels, _, folder = records
    archive = tmp_path / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar10, "_URL", archive.as_uri())
    monkeypatch.setattr(cifar10, "_CHECKSUM", f"md5:{hashlib.md5(archive.read_bytes()).hexdigest()}")
    for _ in range(2):
        train, _ = Cifar10Config().build()
        np.testing.assert_array_equal(train.batch(np.array([14])).x.numpy(), pixels[4, 2:])
        archive.unlink(missing_ok=True)  # The second time there is nothing to fetch.
