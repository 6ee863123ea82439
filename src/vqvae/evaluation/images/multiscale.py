"""Multi-scale structural similarity."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from vqvae.errors import DataError
from vqvae.evaluation.images.reconstruction import PEAK, similarity

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The exponents of the scales, the finest first."""
SMALLEST = 2 ** (len(WEIGHTS) - 1)
"""The shortest side, in pixels: one pixel at the coarsest scale."""


def ms_ssim(images: Tensor, reconstructions: Tensor, peak: int = PEAK) -> Float[Tensor, " batch"]:
    """MS-SSIM [Wang, Simoncelli & Bovik 2003] of images (batch, channels, height, width) of integer levels, from 0 to 1.

    There are five scales. Each is the next finer one, averaged over 2×2 pixels. Contrast and structure count at every scale, luminance only
    at the coarsest. The window and its constants are those of ``ssim``; negative means count as 0. The result is the mean over channels.
    Differs from the paper: an image narrower than 11 pixels at a scale gets a window of its width there.

    Raises:
        DataError: if the two differ in shape or type, are not integers, or have a side shorter than 16 pixels.
    """
    for tensor in (images, reconstructions):
        if tensor.is_floating_point() or tensor.dtype != images.dtype or tensor.shape != images.shape or tensor.ndim != 4:
            raise DataError(
                f"MS-SSIM got {images.dtype} {tuple(images.shape)} and {reconstructions.dtype} {tuple(reconstructions.shape)}; expected "
                "two integer tensors (batch, channels, height, width) of one type and shape."
            )
    if min(images.shape[2:]) < SMALLEST:
        raise DataError(f"Images have {images.shape[2]} × {images.shape[3]} pixels; MS-SSIM needs at least {SMALLEST} on each side.")
    middle = peak / 2
    x, y = images.float() - middle, reconstructions.float() - middle
    result = torch.ones(x.shape[:2], device=x.device)
    for scale, weight in enumerate(WEIGHTS):
        luminance, structure = similarity(x, y, middle, float(peak))
        factor = structure if scale < len(WEIGHTS) - 1 else luminance * structure
        result = result * factor.flatten(2).mean(2).clamp(min=0) ** weight
        if scale < len(WEIGHTS) - 1:
            x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    return result.mean(1)
