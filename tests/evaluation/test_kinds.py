"""The table from what data is to what can be done with it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.kinds import ARRAYS, KINDS, PICTURES, SOUND, VIDEO, kind_of, sample_rate_of, whole
from vqvae.signals import Signal, pictures, sound

KNOWN = {
    pictures(): PICTURES,
    pictures(1): PICTURES,
    pictures(4): ARRAYS,
    pictures(levels=65_536): PICTURES,
    sound(16_000): SOUND,
    # Sound needs a sample rate.
    sound(): ARRAYS,
    Signal(axes=("time",), channels=2, low=-1, high=1, sample_rate=44_100): ARRAYS,
    Signal(axes=("time",), channels=1, sample_rate=250): ARRAYS,
    Signal(axes=("time", "height", "width"), channels=3, levels=256, sample_rate=25): VIDEO,
    Signal(axes=("time", "height", "width"), channels=2, levels=256): ARRAYS,
    Signal(axes=("time", "mel"), channels=1, levels=256): ARRAYS,
}


@pytest.mark.parametrize(("signal", "kind"), KNOWN.items(), ids=[str(number) for number in range(len(KNOWN))])
def test_every_signal_has_one_row(signal: Signal, kind: object) -> None:
    assert kind_of(signal) is kind


def test_the_last_row_takes_everything() -> None:
    assert KINDS[-1] is ARRAYS and all(ARRAYS.matches(signal) for signal in KNOWN)


@pytest.mark.parametrize("rate", [None, 0.5, 22_050.5])
def test_a_sample_rate_that_no_file_has_is_an_error(rate: float | None) -> None:
    with pytest.raises(ConfigError, match=f"sample rate of this sound is {rate}"):
        sample_rate_of(dataclasses.replace(sound(), sample_rate=rate))


def test_pictures_of_colour_become_grey_where_the_model_is_grey(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    grey = whole(PICTURES.read(tmp_path / "a.png", pictures(1)))
    assert grey.shape == (1, 1, 4, 6)
    # Pillow rounds by its own integers.
    assert np.abs(grey[0, 0].numpy().astype(int) - np.asarray(Image.fromarray(pixels).convert("L")).astype(int)).max() <= 1
    assert torch.equal(whole(PICTURES.read(tmp_path / "a.png", pictures()))[0], torch.from_numpy(pixels.transpose(2, 0, 1)))


@pytest.mark.parametrize(
    ("signal", "data"),
    [
        (pictures(), torch.randint(0, 256, (1, 3, 4, 6), dtype=torch.uint8)),
        (sound(8_000), torch.tensor([0.5, -0.25, 0.0, 0.125]).repeat(25)[None, None]),
        (Signal(axes=("time",), channels=5), torch.randn(1, 5, 7)),
        (Signal(axes=("time", "height", "width"), channels=2, levels=1000), torch.randint(0, 1000, (1, 2, 3, 4, 5), dtype=torch.int32)),
    ],
    ids=["picture", "sound", "series", "video"],
)
def test_what_is_written_is_read_again(signal: Signal, data: torch.Tensor, tmp_path: Path) -> None:
    kind = kind_of(signal)
    path = tmp_path / f"a{kind.suffixes[0]}"
    kind.write(path, data.split(2, -1), signal)
    again = whole(kind.read(path, signal))
    assert again.dtype == data.dtype and torch.equal(again, data)
    assert kind.near(again, data, signal) == kind.near(data, data, signal)


def test_a_file_may_hold_several_examples_or_none_that_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 5, 7), np.float32))
    assert whole(ARRAYS.read(tmp_path / "a.npy", Signal(axes=("time",), channels=5))).shape == (2, 5, 7)
    with pytest.raises(DataError, match=r"a.npy holds float32 of shape \(2, 5, 7\)"):
        whole(ARRAYS.read(tmp_path / "a.npy", Signal(axes=("time",), channels=4)))


def test_pictures_come_from_array_files_too(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    (x,) = PICTURES.read(tmp_path / "a.npy", pictures())
    assert x.shape == (3, 3, 6, 5)
    assert PICTURES.near(255 - x, x, pictures()) > 0
