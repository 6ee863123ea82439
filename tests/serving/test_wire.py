"""How data travels."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.codes import Codes, Level
from vqvae.errors import ConfigError, DataError
from vqvae.serving.wire import codes_from_json, codes_to_json, file_of, png_of, suffix_of
from vqvae.signals import Signal, pictures, sound

LAYOUT = (Level(num_codebooks=2, codebook_size=8, stride=(4, 4)),)


def levels(shape: list[int], data: list[int]) -> list[SimpleNamespace]:
    return [SimpleNamespace(shape=shape, data=data)]


def test_codes_come_back_as_they_were_sent() -> None:
    codes = Codes([torch.randint(0, 8, (1, 2, 3, 5))])
    sent = codes_to_json(codes)["levels"]
    found = codes_from_json([SimpleNamespace(**level) for level in sent], LAYOUT, 10_000)
    assert torch.equal(found.tensor, codes.tensor)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "codes has 0 levels; this model has 1"),
        (levels([1, 1, 1], [0]), r"shape is \[1, 1, 1\]; expected \[codebooks, N, N\] with 2 codebooks"),
        (levels([2, 1], [0, 0]), "expected"),
        (levels([2, 1, 2], [0] * 3), "has 3 codes; its shape .* needs 4"),
        (levels([2, 1, 1], [0, 8]), "lies between 0 and 8; expected codes from 0 to 7"),
        (levels([2, 1, 1], [-1, 0]), "lies between -1 and 0"),
        (levels([2, 10, 10], [0] * 200), "stands for 1,600 positions of data; at most 1,000"),
    ],
)
def test_codes_of_another_model_are_refused(given: list[SimpleNamespace], words: str) -> None:
    with pytest.raises(DataError, match=words):
        codes_from_json(given, LAYOUT, 1_000)


def test_unknown_codes_are_accepted_where_the_prior_draws_them() -> None:
    assert codes_from_json(levels([2, 1, 1], [-1, 3]), LAYOUT, 1_000, partial=True).tensor.flatten().tolist() == [-1, 3]


def test_pictures_travel_as_png_and_sounds_as_wav() -> None:
    pixels = torch.randint(0, 256, (1, 3, 5, 7), dtype=torch.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(file_of(pixels, pictures(3)).data))).transpose(2, 0, 1), pixels[0].numpy())
    assert file_of(torch.zeros(1, 1, 64), sound(2000.0)).data[:4] == b"RIFF"
    array = file_of(pixels, pictures(3), "npy")
    assert np.array_equal(np.load(io.BytesIO(array.data), allow_pickle=False), pixels.numpy())
    assert array.url.startswith("data:application/octet-stream;base64,")


def test_a_file_that_a_kind_does_not_have_is_refused() -> None:
    assert suffix_of(Signal(axes=("x",), channels=1)) == ".npy"
    with pytest.raises(ConfigError, match="format is 'wav'; this model sends png"):
        suffix_of(pictures(3), "wav")


def test_small_files_have_the_same_pixels() -> None:
    pixels = np.zeros((1, 40, 40), np.uint8)
    quick, small = png_of(pixels), png_of(pixels, small=True)
    assert len(small) < len(quick) and np.array_equal(np.asarray(Image.open(io.BytesIO(small))), pixels[0])
