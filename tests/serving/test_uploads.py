"""Files that clients send."""

import dataclasses
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
from vqvae.media.video import video_frames, write_video
from vqvae.pipeline import Pipeline
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


@pytest.mark.parametrize(("own", "most"), [(None, 6), (5.0, 3)])
def test_a_video_is_decoded_once_as_far_as_it_is_small(
    models: dict[str, Served], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: float | None, most: int
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 12), np.uint8)
    write_video(tmp_path / "a.gif", iter(frames), 10.0)
    worlds, decoded = models["worlds"], []
    model = Pipeline(worlds.model.tokenizer, signal=dataclasses.replace(worlds.model.signal, sample_rate=own))

    def counted(*given: Any, **settings: Any) -> Iterator[np.ndarray]:
        decoded.append(0)
        for frame in video_frames(*given, **settings):
            decoded[-1] += 1
            yield frame

    monkeypatch.setattr("vqvae.serving.uploads.video_frames", counted)
    data = (tmp_path / "a.gif").read_bytes()

    def sent_with(pixels: int) -> torch.Tensor:
        options = dataclasses.replace(OPTIONS, most_pixels=pixels)
        with sent(data) as file:
            return read_upload(file, "a.gif", model, worlds.kind, options)

    expected = torch.cat(list(worlds.kind.read(tmp_path / "a.gif", model.signal)), -1)
    assert torch.equal(sent_with(6 * 96), expected) and expected.shape == (1, 3, most, 8, 12) and decoded == [most]
    with pytest.raises(Refusal, match=r"a\.gif has 480 values or more|a\.gif has 384 values or more"):
        sent_with(3 * 96)
    assert decoded[-1] < most, "not to its end"
