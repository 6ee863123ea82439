"""The Fréchet distance between Gaussians fitted to features: FID [Heusel et al. 2017], https://arxiv.org/abs/1706.08500, eq. 6.

A score depends on its features: report the extractor's name with it. Compare only scores with the same extractor and about the same
number of examples, because the distance falls with that number.
"""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from vqvae.data.base import Batch
from vqvae.errors import DataError
from vqvae.models.base import Tokenizer


@runtime_checkable
class FeatureExtractor(Protocol):
    """Images to features, one row per image. Any callable with a name is accepted."""

    name: str

    def __call__(self, images: Integer[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]: ...


class TokenizerFeatures:
    """The mean and the standard deviation over space of a tokenizer's latents.

    Use them to compare priors of one tokenizer, or its samples with its reconstructions. They cannot rank tokenizers, because each has
    its own features, and they do not replace a network trained to recognise objects.
    """

    name = "tokenizer-latents"

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def __call__(self, images: Integer[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]:
        """Features of images, (batch, 2 dim)."""
        latents = self.tokenizer.latents(Batch(images)).float().flatten(2)
        return torch.cat([latents.mean(2), latents.std(2, correction=0)], 1)


class Moments:
    """Mean and covariance of features, batch by batch, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, features: Float[Tensor, "batch features"]) -> None:
        """Add rows, from any device.

        Raises:
            DataError: if the number of features has changed, or a feature is not finite.
        """
        rows = features.detach().cpu().double()
        if self.count == 0:
            self.mean = rows.new_zeros(rows.shape[1])
            self._scatter = rows.new_zeros(rows.shape[1], rows.shape[1])
        if rows.shape[1] != len(self.mean):
            raise DataError(f"An image has {rows.shape[1]} features, but earlier images have {len(self.mean)}. Use one extractor for all.")
        if not torch.isfinite(rows).all():
            raise DataError("A feature is infinite or not a number, so there is no mean. Check the extractor.")
        if len(rows) == 0:
            return
        # Joined from deviations [Chan et al. 1979]: sums of squares would lose the digits that the means share.
        total = self.count + len(rows)
        mean = rows.mean(0)
        step, centred = mean - self.mean, rows - mean
        self._scatter += centred.T @ centred + torch.outer(step, step) * (self.count * len(rows) / total)
        self.mean = self.mean + step * (len(rows) / total)
        self.count = total

    @property
    def covariance(self) -> Float[Tensor, "features features"]:
        """The unbiased covariance, as in FID.

        Raises:
            DataError: if fewer than two rows were added.
        """
        if self.count < 2:
            raise DataError(f"A covariance needs at least 2 images; {self.count} were added.")
        return self._scatter / (self.count - 1)


def frechet_score(first: Moments, second: Moments) -> float | None:
    """``frechet_distance``, or None if a side has fewer than two examples: then it has no covariance."""
    return None if min(first.count, second.count) < 2 else frechet_distance(first, second)


def frechet_distance(first: Moments, second: Moments) -> float:
    """|μ₁ − μ₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½): at least 0, and 0 for equal moments. There may be more features than images.

    Raises:
        DataError: if the numbers of features differ, or a side has fewer than two images.
    """
    if first.mean.shape != second.mean.shape:
        raise DataError(f"One side has {len(first.mean)} features per image, the other {len(second.mean)}. Use one extractor for both.")
    # tr (C₁ C₂)^½ is the sum of the singular values of C₁^½ C₂^½. The root of the product would amplify its rounding errors.
    roots = _root(first.covariance) @ _root(second.covariance)
    shared = torch.linalg.svdvals(roots).sum()
    apart = (first.mean - second.mean).square().sum()
    return max(0.0, float(apart + first.covariance.trace() + second.covariance.trace() - 2 * shared))


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T
