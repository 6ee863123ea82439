"""Maps of codes, of their cost, and of errors."""

import numpy as np
import torch

from vqvae.codes import Codes, Level
from vqvae.data.base import Batch
from vqvae.evaluation.images.maps import code_maps, enlarged, error_maps, surprise_maps
from vqvae.reports.colours import code_colours, heat


def batch(side: int = 96) -> Batch:
    return Batch(torch.zeros(2, 1, side, side, dtype=torch.uint8))


def test_codes_cover_their_stride() -> None:
    codes = torch.tensor([[[[0, 1], [2, 3]]], [[[3, 3], [3, 3]]]])
    pixels = code_maps(batch(), Codes([codes]), [Level(1, 4, (48, 48))])
    bottom = pixels[98:, -194:]
    assert bottom.shape == (96, 194, 3)
    assert (bottom[:48, :48] == code_colours(np.array(0), 4)).all() and (bottom[48:, 98:] == code_colours(np.array(3), 4)).all()


def test_surprise_is_brightest_where_codes_cost_most() -> None:
    pixels, most = surprise_maps(batch(), [torch.tensor([[[0.0, 1.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])])
    assert most == 4.0 and (pixels[-1, -194 + 95] == heat(np.array(1.0))).all() and (pixels[-1, -1] == 0).all()


def test_errors_are_means_over_channels() -> None:
    images = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    made = images.clone()
    made[0, 0, 5, 6] = 30
    pixels, most = error_maps(images, made)
    assert most == 10.0 and (pixels[-96 + 5, -96 + 6] == heat(np.array(1.0))).all() and (pixels[-1, -1] == 0).all()


def test_small_images_are_enlarged() -> None:
    assert enlarged({"image": torch.zeros(1, 1, 8, 8, dtype=torch.uint8)}).shape[0] == 96
    assert enlarged({"image": torch.zeros(1, 1, 150, 150, dtype=torch.uint8)}).shape[0] == 150
