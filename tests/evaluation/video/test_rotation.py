"""Sideways movement of pictures, and the rotation that it stands for."""

import pytest
import torch
from torch.nn import functional as F

from vqvae.errors import DataError
from vqvae.evaluation.video.rotation import calibrate, calibrate_frames, displacement, turned


def panorama(seed: int = 0, height: int = 24, width: int = 400) -> torch.Tensor:
    """A smooth random picture, four times finer than a frame."""
    coarse = torch.rand(1, 3, 6, width // 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(height, width * 4), mode="bicubic").clamp(0, 1) * 255


def view(whole: torch.Tensor, left: float, width: int = 64) -> torch.Tensor:
    first = round(left * 4)
    return F.avg_pool2d(whole[:, :, :, first : first + 4 * width], (1, 4)).round().to(torch.uint8)


@pytest.mark.parametrize("moved", [0, 0.75, 3.5, -8.25, 17, -20])
def test_movements_are_found_to_a_fraction_of_a_pixel(moved: float) -> None:
    wholes = [panorama(seed) for seed in range(4)]
    before, after = (torch.cat([view(whole, left) for whole in wholes]) for left in (100, 100 - moved))
    assert displacement(before, after).tolist() == pytest.approx([moved] * 4, abs=0.3)


def test_light_noise_and_blur_change_little() -> None:
    whole = panorama(5)
    before, after = view(whole, 100).float(), view(whole, 94).float()
    noise = 10 * torch.randn(after.shape, generator=torch.Generator().manual_seed(0))
    after = F.avg_pool2d(F.pad(0.7 * after + 20 + noise, (1, 1, 1, 1), mode="replicate"), 3, 1)
    found = displacement(before.to(torch.uint8), after.clamp(0, 255).to(torch.uint8))
    assert float(found) == pytest.approx(6, abs=0.5)


def test_frames_without_contrast_do_not_move() -> None:
    flat = torch.full((2, 3, 8, 16), 90, dtype=torch.uint8)
    assert displacement(flat, flat).tolist() == [0, 0]


def test_a_line_turns_pixels_into_degrees_in_spite_of_outliers() -> None:
    pixels = torch.linspace(-20, 20, 200)
    degrees = 0.9 * pixels + 0.5 + 0.05 * torch.randn(200, generator=torch.Generator().manual_seed(0))
    clean = calibrate(pixels, degrees)
    assert (clean.slope, clean.intercept) == (pytest.approx(0.9, abs=0.01), pytest.approx(0.5, abs=0.05))
    assert clean.r_squared > 0.999 and clean.error < 0.1
    degrees[::10] = 0
    spoilt = calibrate(pixels, degrees)
    assert spoilt.slope == pytest.approx(0.9, abs=0.01) and spoilt.r_squared < clean.r_squared
    assert float(spoilt.degrees(torch.tensor([10.0]))) == pytest.approx(9.5, abs=0.1)


def test_frames_are_calibrated_against_the_engine() -> None:
    whole, moved = panorama(1), torch.tensor([-6.0, -3.0, 0.0, 2.0, 5.0])
    before = view(whole, 100).expand(5, -1, -1, -1)
    after = torch.cat([view(whole, 100 - float(one)) for one in moved])
    found = calibrate_frames(before, after, 2 * moved)
    assert found.slope == pytest.approx(2, abs=0.1) and found.r_squared > 0.99 and found.reach < 0.45
    torch.testing.assert_close(found.rotation(before, after), 2 * moved, atol=0.5, rtol=0)


def test_rotations_pass_through_north() -> None:
    assert turned(torch.tensor([350.0, 354.0, 2.0, 0.0])).tolist() == [4, 8, -2]
    assert turned(torch.tensor([[0, 180], [180, 0]])).tolist() == [[180], [180]]


def test_frames_that_cannot_be_compared_are_refused() -> None:
    frames = torch.zeros(1, 3, 8, 16, dtype=torch.uint8)
    with pytest.raises(DataError, match="8 or more pixels"):
        displacement(frames[..., :4], frames[..., :4])
    with pytest.raises(DataError, match="at least 3 pairs"):
        calibrate(torch.zeros(5), torch.arange(5))
