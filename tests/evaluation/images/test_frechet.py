"""The Fréchet distance beside numpy, scipy and closed forms."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from tests.training import tiny
from vqvae.data.base import Batch
from vqvae.errors import DataError
from vqvae.evaluation.images.frechet import FeatureExtractor, Moments, TokenizerFeatures, frechet_distance


def features(count: int, dims: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dims, generator=generator) @ torch.randn(dims, dims, generator=generator) + shift


def moments(rows: torch.Tensor, parts: int = 1) -> Moments:
    found = Moments()
    for part in rows.tensor_split(parts):
        found.add(part)
    return found


def test_moments_come_in_any_number_of_parts() -> None:
    rows = features(40, 6, 0) + 1e4
    for parts in (1, 3, 40, 60):
        found = moments(rows, parts)
        np.testing.assert_allclose(found.mean, rows.double().mean(0), rtol=1e-12)
        np.testing.assert_allclose(found.covariance, np.cov(rows.double().numpy(), rowvar=False), rtol=1e-8)


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_the_distance_equals_scipys(shift: float) -> None:
    a, b = features(200, 8, 0), features(150, 8, 1, shift)
    one, other = np.cov(a.double().numpy(), rowvar=False), np.cov(b.double().numpy(), rowvar=False)
    apart = ((a.double().mean(0) - b.double().mean(0)) ** 2).sum()
    expected = float(apart) + np.trace(one + other - 2 * sqrtm(one @ other).real)
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(moments(b), moments(a)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("count", "dims"), [(200, 8), (10, 64)])
def test_the_distance_to_itself_is_zero_and_to_a_shift_its_square(count: int, dims: int) -> None:
    rows = features(count, dims, 0).double()
    here = moments(rows)
    scale = float(here.covariance.trace())
    assert frechet_distance(here, here) == pytest.approx(0, abs=1e-7 * scale)
    shifted = moments(rows + 5)
    assert frechet_distance(here, shifted) == pytest.approx(25 * dims, rel=1e-6)
    # Twice as wide: the trace of C + 4 C - 2 · 2 C.
    wide = moments(2 * rows - rows.mean(0))
    assert frechet_distance(here, wide) == pytest.approx(scale, rel=1e-6)


def test_what_cannot_be_compared_is_an_error() -> None:
    with pytest.raises(DataError, match="One side has 8 features per image, the other 4"):
        frechet_distance(moments(features(9, 8, 0)), moments(features(9, 4, 0)))
    with pytest.raises(DataError, match="needs at least 2 images; 1 were added"):
        frechet_distance(moments(features(9, 8, 0)), moments(features(1, 8, 0)))
    with pytest.raises(DataError, match="An image has 4 features, but earlier images have 8"):
        moments(features(9, 8, 0)).add(features(9, 4, 0))
    with pytest.raises(DataError, match="not a number"):
        moments(torch.full((3, 2), torch.nan))


def test_a_tokenizer_has_features() -> None:
    model = tiny.model().build().eval()
    extractor = TokenizerFeatures(model)
    assert isinstance(extractor, FeatureExtractor) and extractor.name == "tokenizer-latents"
    images = torch.randint(0, 256, (5, 3, 7, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = extractor(images)
        latents = model.latents(Batch(images)).flatten(2).numpy()
    np.testing.assert_allclose(found, np.concatenate([latents.mean(2), latents.std(2)], 1), rtol=1e-4, atol=1e-6)
    # The whole image counts, also what the stride does not divide.
    images[0, :, -1, -1] ^= 128
    with torch.inference_mode():
        changed = (extractor(images) != found).any(1)
    assert changed.tolist() == [True, False, False, False, False]
