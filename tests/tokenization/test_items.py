"""Records of every kind become examples."""

import io
from contextlib import closing

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.data import write_audio
from vqvae.data.records.base import Encoded, Record
from vqvae.errors import DataError
from vqvae.media.images import read_image
from vqvae.signals import Signal, pictures, sound
from vqvae.tokenization.items import Items
from vqvae.tokenization.plan import Reading

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


def read(data, signal, **reading):
    with closing(Items(signal, Reading(**reading))) as items:
        return items.read(Record("the item", data))


def encoded(save):
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def test_pictures_from_files_and_bytes(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    expected = torch.from_numpy(PIXELS).movedim(-1, 0)[None]
    content = (tmp_path / "a.png").read_bytes()
    for data in (tmp_path / "a.png", Encoded(content, ""), Encoded(content, "x.jpg"), PIXELS, expected[0]):
        assert torch.equal(read(data, pictures()), expected)
    assert torch.equal(read(Encoded(encoded(lambda file: np.save(file, PIXELS)), ""), pictures()), expected)
    small = torch.from_numpy(read_image(tmp_path / "a.png", (3, 3)))[None]
    assert torch.equal(read(Encoded(content, ""), pictures(), size=(3, 3)), small)


def test_sound_and_arrays_from_bytes(tmp_path):
    wave = np.linspace(-0.5, 0.5, 400, dtype=np.float32)
    write_audio(tmp_path / "a.flac", wave, 16_000)
    assert read(Encoded((tmp_path / "a.flac").read_bytes(), ""), sound(16_000)).shape == (1, 1, 400)
    levels = Signal(axes=("time",), channels=2, levels=5)
    floats = np.array([[0.0, 0.5], [1.0, 0.25]])
    assert read(floats, levels, bounds=(0.0, 1.0)).tolist() == [[[0, 2], [4, 1]]]


def test_errors_name_the_item_and_no_place(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    for data in (tmp_path / "a.png", Encoded(b"no picture", "b.png"), Encoded(b"PK no arrays", "")):
        with pytest.raises(DataError, match=r"^the item ") as error:
            read(data, pictures())
        assert str(tmp_path) not in str(error.value) and "/" not in str(error.value).split()[2]
    with pytest.raises(DataError, match="the item holds 2 examples"):
        read(np.stack([PIXELS, PIXELS]), pictures())


def test_numbers_that_no_column_holds_are_refused():
    with closing(Items(pictures(), Reading())) as items:
        for record in (Record("the item", PIXELS, 2**63), Record("the item", PIXELS, 0, (1, 2**31)), Record("the item", PIXELS, -(2**64))):
            with pytest.raises(DataError, match="the item has the label .* too large to store"):
                items.read(record)
        assert len(items.read(Record("the item", PIXELS, 2**63 - 1, (-(2**31),)))) == 1
