"""Writing images where the suffix says how."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.cli.pictures import check_suffix, write_images
from vqvae.errors import ConfigError, DataError

IMAGES = torch.randint(0, 256, (3, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_a_folder_an_array_and_one_picture(tmp_path: Path) -> None:
    for name in ("folder", "all.npy", "all.png"):
        write_images(IMAGES, tmp_path / name, ["a", "b", "c"])
    assert np.array_equal(np.load(tmp_path / "all.npy", allow_pickle=False), IMAGES.numpy())
    assert np.array_equal(np.asarray(Image.open(tmp_path / "folder" / "b.png")), IMAGES[1].permute(1, 2, 0))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "all.png"))[:4, :5], IMAGES[0].permute(1, 2, 0))


def test_other_suffixes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'\.gif'"):
        check_suffix(tmp_path / "x.gif")
    with pytest.raises(ConfigError):
        write_images(IMAGES, tmp_path / "x.gif", ["a", "b", "c"])
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="could not be written"):
        write_images(IMAGES, tmp_path / "file" / "x.npy", ["a", "b", "c"])
