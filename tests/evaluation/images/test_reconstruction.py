"""PSNR, SSIM and NMSE beside numpy and scipy."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from vqvae.errors import DataError
from vqvae.evaluation.images.reconstruction import NormalisedError, SquaredError, psnr, ssim


def pair(*shape: int, noise: float = 20.0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth images and the same with noise."""
    generator = np.random.default_rng(seed)
    smooth = gaussian_filter(generator.standard_normal(shape), (0, 0, 3, 3))
    x = 255 * (smooth - smooth.min()) / np.ptp(smooth)
    y = np.clip(x + noise * generator.standard_normal(shape), 0, 255)
    return torch.from_numpy(x.astype(np.uint8)), torch.from_numpy(y.astype(np.uint8))


def scipy_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Of one channel, by a filter of the whole image, whose border is cut off."""

    def blur(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(image, sigma=1.5, radius=5)[5:-5, 5:-5]

    x, y = x.astype(np.float64), y.astype(np.float64)
    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * mx * my + c1) * (2 * cov + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean())


def test_psnr_equals_numpy_image_by_image() -> None:
    x, y = pair(5, 3, 12, 9)
    error = ((x.numpy().astype(float) - y.numpy().astype(float)) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(psnr(x, y).numpy(), 10 * np.log10(255**2 / error), rtol=1e-6)
    torch.testing.assert_close(psnr(x, y), psnr(y, x))


def test_an_image_without_error_counts_as_one_level_off() -> None:
    x = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    y = x.clone()
    y[1, 0, 0, 0] = 1
    scores = psnr(x, y)
    assert scores[0] == scores[1] == pytest.approx(10 * math.log10(255**2 * 48))


@pytest.mark.parametrize("shape", [(3, 1, 11, 11), (2, 3, 24, 17), (1, 3, 84, 84)])
@pytest.mark.parametrize("noise", [2.0, 30.0])
def test_ssim_equals_scipy(shape: tuple[int, ...], noise: float) -> None:
    x, y = pair(*shape, noise=noise)
    expected = [
        np.mean([scipy_ssim(a, b) for a, b in zip(one, other, strict=True)]) for one, other in zip(x.numpy(), y.numpy(), strict=True)
    ]
    np.testing.assert_allclose(ssim(x, y).numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (2, 1, 4, 30), (2, 3, 10, 12)])
def test_small_images_have_a_similarity_too(shape: tuple[int, ...]) -> None:
    x = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ssim(x, x), torch.ones(shape[0]))
    assert (ssim(x, 255 - x) < 0.99).all()


def test_a_flat_image_is_like_itself_only() -> None:
    flat = torch.full((1, 3, 16, 16), 200, dtype=torch.uint8)
    assert ssim(flat, flat).item() == pytest.approx(1, abs=1e-5)
    # Without any structure only the luminance term is left.
    c1 = (0.01 * 255) ** 2
    assert ssim(flat, flat // 2).item() == pytest.approx((2 * 200 * 100 + c1) / (200**2 + 100**2 + c1), abs=1e-4)


def test_nmse_is_the_error_over_the_variance_of_all_that_came() -> None:
    x, y = pair(7, 3, 6, 5)
    whole, parts, given = NormalisedError(), NormalisedError(), NormalisedError(variance=100.0)
    whole.add(x, y)
    for rows in (slice(0, 1), slice(1, 1), slice(1, 7)):
        parts.add(x[rows], y[rows])
        given.add(x[rows], y[rows])
    error = ((x.double() - y.double()) ** 2).mean()
    assert whole.value() == parts.value() == pytest.approx(float(error / x.double().var(correction=0)))
    assert given.value() == pytest.approx(float(error) / 100)
    mean = NormalisedError()
    mean.add(x, torch.full_like(x, round(float(x.double().mean()))))
    assert mean.value() == pytest.approx(1, rel=1e-3)


def test_without_variance_there_is_no_nmse() -> None:
    flat, empty = NormalisedError(), NormalisedError()
    flat.add(*[torch.zeros(1, 3, 2, 2, dtype=torch.uint8)] * 2)
    assert math.isnan(flat.value()) and math.isnan(empty.value())


@pytest.mark.parametrize("measure", [psnr, ssim, lambda x, y: NormalisedError().add(x, y)])
def test_what_cannot_be_compared_is_an_error(measure: object) -> None:
    x = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    with pytest.raises(DataError, match=r"Reconstructions are uint8 of the shape \(2, 3, 4, 5\)"):
        measure(x, torch.zeros(2, 3, 4, 5, dtype=torch.uint8))
    with pytest.raises(DataError, match="Images are float32"):
        measure(x.float(), x)


def test_ssim_of_no_pixels_is_an_error() -> None:
    nothing = torch.zeros(1, 3, 0, 4, dtype=torch.uint8)
    with pytest.raises(DataError, match="none of them empty"):
        ssim(nothing, nothing)


def test_an_image_in_pieces_has_the_psnr_of_the_whole():
    images, made = (torch.randint(0, 256, (1, 3, 9, 8), dtype=torch.uint8) for _ in range(2))
    error = SquaredError()
    for rows in (slice(0, 2), slice(2, 9)):
        error.add(images[:, :, rows], made[:, :, rows])
    assert error.psnr() == pytest.approx(float(psnr(images, made)))
    with pytest.raises(DataError):
        error.add(images, made[..., :1])
