"""Maps of codes, of their cost, and of errors."""

import numpy as np
import torch

from vqvae.codes import Codes, Level
from vqvae.data.base import Batch
from vqvae.evaluation.images.maps import code_maps, enlarged, error_maps, surprise_maps
from vqvae.reports.colours import code_colours, heat


def batch(side: int = 64) -> Batch:
    return Batch(torch.zeros(2, 1, side, side, dtype=torch.uint8))


def test_codes_cover_their_stride() -> None:
    codes = torch.tensor([[[[0, 1], [2, 3]]], [[[3, 3], [3, 3]]]])
    pixels = code_maps(batch(), Codes([codes]), [Level(1, 4, (32, 32))])
    bottom = pixels[66:, -130:]
    assert bottom.shape == (64, 130, 3)
    assert (bottom[:32, :32] == code_colours(np.array(0), 4)).all() and (bottom[32:, 66:] == code_colours(np.array(3), 4)).all()


def test_surprise_is_brightest_where_codes_cost_most() -> None:
    pixels, most = surprise_maps(batch(), [torch.tensor([[[0.0, 1.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])])
    assert most == 4.0 and (pixels[-1, -130 + 63] == heat(np.array(1.0))).all() and (pixels[-1, -1] == 0).all()


def test_errors_are_means_over_channels() -> None:
    images = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    made = images.clone()
    made[0, 0, 5, 6] = 30
    pixels, most = error_maps(images, made)
    assert most == 10.0 and (pixels[-64 + 5, -64 + 6] == heat(np.array(1.0))).all() and (pixels[-1, -1] == 0).all()


def test_small_images_are_enlarged() -> None:
    assert enlarged({"image": torch.zeros(1, 1, 8, 8, dtype=torch.uint8)}).shape[0] == 64
    assert enlarged({"image": torch.zeros(1, 1, 99, 99, dtype=torch.uint8)}).shape[0] == 99
