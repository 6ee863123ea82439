"""Files that clients send."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

import numpy as np
import pytest
import torch

from tests.serving.conftest import OPTIONS, pixels_of, png, wav
from vqvae.errors import DataError
from vqvae.serving.refusals import Refusal
from vqvae.serving.served import Served
from vqvae.serving.uploads import read_upload, stored


@contextmanager
def sent(data: bytes) -> Iterator[Any]:
    """A file as the framework receives it."""
    with SpooledTemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file


def read(model: Served, data: bytes, name: str | None) -> torch.Tensor:
    with sent(data) as file:
        return read_upload(file, name, model.model, model.kind, OPTIONS)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def test_files_are_read_as_the_model_takes_them(models: dict[str, Served]) -> None:
    assert torch.equal(read(models["photos"], png(), "cat.png"), pixels_of(png()))
    assert torch.equal(read(models["photos"], png(), None), pixels_of(png())), "the content decides"
    assert torch.equal(read(models["photos"], npy(pixels_of(png())[0].numpy()), "x.png"), pixels_of(png()))
    assert read(models["voices"], wav(300), "talk.wav").shape == (1, 1, 300)


@pytest.mark.parametrize(
    ("name", "data", "called", "status", "words"),
    [
        ("photos", b"", "cat.png", 415, "cat.png is empty"),
        ("photos", b"plain text", "cat.png", 415, "This model takes pictures"),
        ("photos", png(80, 80), "cat.png", 413, "at most 4,096"),
        ("photos", npy(np.zeros((3, 80, 80), np.uint8)), "x.npy", 413, "Make it smaller"),
        ("photos", npy(np.zeros((2, 3, 16, 20), np.uint8)), "x.npy", 415, "2 examples; one is expected"),
        ("voices", wav(2001), "talk.wav", 413, "longer than 1 seconds"),
        ("voices", png(), "talk.wav", 415, "This model takes"),
    ],
)
def test_other_files_are_refused(models: dict[str, Served], name: str, data: bytes, called: str, status: int, words: str) -> None:
    with pytest.raises(Refusal, match=words) as refused:
        read(models[name], data, called)
    assert refused.value.status == status and "vqvae-serve-" not in str(refused.value), "no path of the server"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd.png", "a\0b.png", "x" * 500])
def test_a_stored_file_lies_in_a_folder_of_its_own_and_is_removed(name: str) -> None:
    with sent(b"x") as file, stored(file, name, (".png",)) as path:
        place = path
        assert path.read_bytes() == b"x" and path.suffix == ".png" and path.parent.name.startswith("vqvae-serve-")
        assert [*path.parent.iterdir()] == [path]
    assert not place.parent.exists()


def test_errors_name_the_file_as_the_client_does() -> None:
    wrong = pytest.raises(DataError, match="^cat.png is damaged")
    with wrong, sent(b"x") as file, stored(file, "cat.png", (".png",)) as path:
        raise DataError(f"{path} is damaged")
    assert not Path(path).exists()
