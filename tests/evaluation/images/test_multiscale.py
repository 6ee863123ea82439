"""MS-SSIM."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from vqvae.errors import DataError
from vqvae.evaluation.images.multiscale import WEIGHTS, ms_ssim


def noisy(amount: float, size: tuple[int, int] = (200, 180)) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    clean = rng.uniform(0, 255, (2, 3, *size)).cumsum(-1) % 256
    other = clean + amount * rng.normal(size=clean.shape)
    images, others = (torch.from_numpy(x.round().clip(0, 255).astype(np.uint8)) for x in (clean, other))
    return images, others


def reference(x: np.ndarray, y: np.ndarray) -> float:
    """MS-SSIM of one channel in float64, as the paper's formulas stand, with SciPy's convolution."""
    offsets = np.arange(11) - 5
    row = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(row, row) / np.outer(row, row).sum()
    result, c1, c2 = 1.0, (0.01 * 255) ** 2, (0.03 * 255) ** 2
    for scale, weight in enumerate(WEIGHTS):
        mx, my, xx, yy, xy = (convolve2d(z, window, mode="valid") for z in (x, y, x * x, y * y, x * y))
        factor = (2 * (xy - mx * my) + c2) / (xx - mx**2 + yy - my**2 + c2)
        if scale == len(WEIGHTS) - 1:
            factor = factor * (2 * mx * my + c1) / (mx**2 + my**2 + c1)
        result *= max(factor.mean(), 0) ** weight
        x, y = (z[: len(z) // 2 * 2, : z.shape[1] // 2 * 2].reshape(len(z) // 2, 2, -1, 2).mean((1, 3)) for z in (x, y))
    return result


def test_it_agrees_with_the_formulas_of_the_paper() -> None:
    images, others = noisy(40, (192, 176))
    pairs = zip(images.flatten(0, 1).double().numpy(), others.flatten(0, 1).double().numpy(), strict=True)
    expected = np.array([reference(*pair) for pair in pairs]).reshape(2, 3).mean(1)
    np.testing.assert_allclose(ms_ssim(images, others).numpy(), expected, rtol=2e-4)


def test_it_is_one_for_equal_images_and_falls_with_noise() -> None:
    scores = [float(ms_ssim(*noisy(amount, (64, 48))).mean()) for amount in (0, 10, 30, 90)]
    assert scores[0] == pytest.approx(1, abs=1e-6) and scores == sorted(scores, reverse=True) and 0 < scores[-1] < 0.95
    assert sum(WEIGHTS) == pytest.approx(1, abs=1e-3)


def test_it_is_symmetric_and_small_images_have_a_score() -> None:
    images, others = noisy(30, (16, 17))
    torch.testing.assert_close(ms_ssim(images, others), ms_ssim(others, images))
    assert torch.isfinite(ms_ssim(images, others)).all()


def test_what_cannot_be_compared_is_refused() -> None:
    images, others = noisy(1, (15, 40))
    for pair, words in (((images, others), "at least 16"), ((images, others[:1]), "one type"), ((images.float(), others), "integer")):
        with pytest.raises(DataError, match=words):
            ms_ssim(*pair)
