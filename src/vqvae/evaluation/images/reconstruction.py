"""How close a reconstruction is to its image: PSNR, SSIM and NMSE, for images of integer levels."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.errors import DataError
from vqvae.exact import exact

PEAK = 255
"""The highest level of uint8 images."""
_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def psnr(images: Tensor, reconstructions: Tensor, peak: int = PEAK) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio 10 log₁₀(peak² / MSE) of each image of integer levels, in dB. The MSE covers all channels and pixels.

    The PSNR of a data set is the mean of these. The PSNR of the mean MSE would be lower. A perfect image counts as if one value were off
    by one level, so that the mean stays finite.

    Raises:
        DataError: if the two differ in shape or type, or are not integers.
    """
    _check(images, reconstructions)
    return _decibels(_squared_error(images, reconstructions), math.prod(images.shape[1:]), peak)


class SquaredError:
    """The squared error of one image, added piece by piece."""

    def __init__(self, peak: int = PEAK) -> None:
        """Start empty. ``peak`` is the highest level."""
        self.peak, self._count, self._sum = peak, 0, 0

    def add(self, image: Tensor, reconstruction: Tensor) -> None:
        """Add a piece (1, channels, height, width) of integer levels and its reconstruction.

        Raises:
            DataError: if the two differ in shape or type, or are not integers.
        """
        _check(image, reconstruction)
        self._count += image.numel()
        # The difference takes 8 bytes per value, so only a few rows are compared at a time.
        for part, other in zip(image.split(32, 2), reconstruction.split(32, 2), strict=True):
            self._sum += int(_squared_error(part, other).sum())

    def psnr(self) -> float:
        """The PSNR of everything added so far, in dB. See the function ``psnr``."""
        return float(_decibels(torch.tensor(self._sum, dtype=torch.float64), self._count, self.peak))


def ssim(images: Tensor, reconstructions: Tensor, peak: int = PEAK) -> Float[Tensor, " batch"]:
    """Structural similarity [Wang et al. 2004, §III.B] of images (batch, channels, height, width) of integer levels: at most 1,
    and 1 only for equal images.

    The window is Gaussian, 11×11 pixels with standard deviation 1.5, and always inside the image. K₁ = 0.01, K₂ = 0.03. The result is the
    mean over channels. Differs from the paper, which has grey images only: an image narrower than 11 pixels gets a window of its width.

    Raises:
        DataError: if the two differ in shape or type, or are not images of at least one pixel.
    """
    _check(images, reconstructions)
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise DataError(f"Images have the shape {tuple(images.shape)}; SSIM takes (batch, channels, height, width), none of them empty.")
    # The middle level is subtracted: variances stay the same, and squares keep digits that they would lose.
    middle = peak / 2
    luminance, structure = similarity(images.float() - middle, reconstructions.float() - middle, middle, float(peak))
    return (luminance * structure).flatten(1).mean(1)


def similarity(
    x: Float[Tensor, "batch channels height width"], y: Float[Tensor, "batch channels height width"], middle: float, peak: float
) -> tuple[Float[Tensor, "batch channels _down _across"], Float[Tensor, "batch channels _down _across"]]:
    """The two factors of SSIM at each place of the window: luminance; contrast and structure. ``middle`` was subtracted from the levels."""
    down, across = (_windows(length, x.device) for length in x.shape[2:])

    def blur(maps: Tensor) -> Tensor:
        return down @ maps @ across.T

    mean_x, mean_y = blur(x), blur(y)
    variance_x, variance_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    mean_x, mean_y = mean_x + middle, mean_y + middle
    c1, c2 = (_K1 * peak) ** 2, (_K2 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return luminance, structure


class NormalisedError:
    """NMSE: the mean squared error divided by the variance of the data. 0 is perfect; the mean of the data would score 1.

    All values share one mean and one variance, as in DeepMind Sonnet's VQ-VAE example. That example divides by the variance of its
    training data. Here the default is the variance of the data that is added.
    """

    def __init__(self, variance: float | None = None) -> None:
        """Start empty. ``variance`` is in squared levels."""
        self.variance = variance
        self._count, self._sum, self._squares, self._error = 0, 0, 0, 0

    def add(self, images: Tensor, reconstructions: Tensor) -> None:
        """Add images of integer levels and their reconstructions.

        Raises:
            DataError: if the two differ in shape or type, or are not integers.
        """
        _check(images, reconstructions)
        # Sums of whole numbers are exact.
        levels = images.long()
        self._count += levels.numel()
        self._sum += int(levels.sum())
        self._squares += int(levels.square().sum())
        self._error += int(_squared_error(images, reconstructions).sum())

    def value(self) -> float:
        """The NMSE of everything added so far. NaN if nothing was added, or if all values are equal."""
        if self._count == 0:
            return math.nan
        variance = self.variance
        if variance is None:
            variance = (self._count * self._squares - self._sum**2) / self._count**2
        return self._error / self._count / variance if variance else math.nan


def _squared_error(images: Tensor, reconstructions: Tensor) -> Tensor:
    """(batch,), float64, exact."""
    return exact((images.long() - reconstructions.long()).square().flatten(1).sum(1))


def _decibels(error: Tensor, dims: int, peak: int) -> Tensor:
    """The PSNR, from a sum of squared errors and the number of values."""
    return 10 * torch.log10(float(peak) ** 2 / (error.clamp(min=1) / max(dims, 1)))


def _windows(length: int, device: torch.device) -> Float[Tensor, "places length"]:
    """One row for each place of the window along an axis. Each row sums to 1."""
    size = min(_WINDOW, length)
    offset = torch.arange(size, dtype=torch.float32, device=device) - (size - 1) / 2
    weights = torch.exp(-(offset**2) / (2 * _SIGMA**2))
    rows = torch.zeros(length - size + 1, length, dtype=torch.float32, device=device)
    for place, row in enumerate(rows):
        row[place : place + size] = weights / weights.sum()
    return rows


def _check(images: Tensor, reconstructions: Tensor) -> None:
    for name, tensor in (("Images", images), ("Reconstructions", reconstructions)):
        if tensor.is_floating_point() or tensor.dtype != images.dtype or tensor.shape != images.shape:
            expected = "integers" if images.is_floating_point() else str(images.dtype).removeprefix("torch.")
            raise DataError(
                f"{name} are {str(tensor.dtype).removeprefix('torch.')} of the shape {tuple(tensor.shape)}; "
                f"expected {expected} of the shape {tuple(images.shape)}."
            )
