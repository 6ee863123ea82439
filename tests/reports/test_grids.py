"""Pictures of many images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.errors import CheckpointError, DataError
from vqvae.media.images import write_png
from vqvae.reports.grids import grid, labelled_rows, pair_grid


def numbered(count: int, channels: int = 3) -> torch.Tensor:
    return torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, channels, 2, 5)


def test_pictures_stand_in_reading_order() -> None:
    pixels = grid(numbered(5), columns=3)
    assert pixels.shape == (2 * (2 + 2) - 2, 3 * (5 + 2) - 2, 3)
    assert [pixels[4 * (i // 3), 7 * (i % 3) + 4, 0] for i in range(5)] == [0, 1, 2, 3, 4]
    assert np.unique(pixels[2:4]) == 255 and np.unique(pixels[:, 5:7]) == 255 and np.unique(pixels[4:, 14:]) == 255
    assert grid(numbered(2), columns=8).shape == (2, 2 * 7 - 2, 3)


def test_pictures_stand_in_pairs() -> None:
    above = torch.arange(3, dtype=torch.uint8)[:, None, None, None].expand(3, 3, 2, 5)
    grid = pair_grid(above, above + 100, columns=2)
    assert grid.shape == (4 * (2 + 2) - 2, 2 * (5 + 2) - 2, 3)
    assert np.unique(grid[0:2, 0:5]) == 0 and np.unique(grid[0:2, 7:12]) == 1
    assert np.unique(grid[4:6, 0:5]) == 100 and np.unique(grid[4:6, 7:12]) == 101
    assert np.unique(grid[8:10, 0:5]) == 2 and np.unique(grid[12:14, 0:5]) == 102
    assert np.unique(grid[8:, 7:]) == 255 and np.unique(grid[2:4]) == 255


def test_grey_is_shown_as_grey() -> None:
    x = torch.full((1, 1, 2, 2), 7, dtype=torch.uint8)
    assert np.array_equal(pair_grid(x, x, 8)[0, 0], [7, 7, 7])


def test_rows_have_names_beside_them() -> None:
    rows = {"short": numbered(3), "a longer name": numbered(2) + 10}
    pixels = labelled_rows(rows)
    strips = [grid(images, 8) for images in rows.values()]
    margin = pixels.shape[1] - strips[0].shape[1]
    assert pixels.shape[0] == 2 * 2 + 2 and margin > 40
    assert np.array_equal(pixels[:2, margin:], strips[0])
    assert np.array_equal(pixels[4:, margin : margin + strips[1].shape[1]], strips[1])
    assert (pixels[:, : margin - 2] < 128).any()


@pytest.mark.parametrize("images", [torch.zeros(0, 3, 2, 2, dtype=torch.uint8), torch.zeros(2, 4, 2, 2, dtype=torch.uint8)])
def test_what_cannot_be_shown_is_an_error(images: torch.Tensor) -> None:
    for show in (lambda: grid(images, 4), lambda: pair_grid(images, images, 4), lambda: labelled_rows({"name": images})):
        with pytest.raises(DataError, match="The images have shape"):
            show()
    with pytest.raises(DataError, match="no rows of images"):
        labelled_rows({})


def test_a_picture_is_stored_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "picture.png"
    write_png(path, grid(numbered(4), 2))
    assert np.array_equal(np.asarray(Image.open(path)), grid(numbered(4), 2))
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]
    with pytest.raises(CheckpointError, match="could not be written"):
        write_png(path / "below.png", grid(numbered(4), 2))
