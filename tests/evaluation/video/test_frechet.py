"""Fréchet distances by step."""

import pytest
import torch

from vqvae.errors import DataError
from vqvae.evaluation.video.frechet import distances_by_step, halves, still, too_few


def clips(count: int, shift: float = 0.0, drift: float = 0.0, steps: int = 4) -> torch.Tensor:
    noise = torch.randn(count, 1, steps, 2, 2, generator=torch.Generator().manual_seed(count))
    drifted = noise * 10 + 100 + shift + drift * torch.arange(steps).view(1, 1, -1, 1, 1)
    return drifted.clamp(0, 255).to(torch.uint8)


def pixels(clips: torch.Tensor) -> torch.Tensor:
    return clips[:, :, 1:].transpose(1, 2).flatten(2).float()


def test_a_drift_shows_as_a_distance_that_grows() -> None:
    real = clips(600)
    steady, drifting = distances_by_step(pixels, clips(500), real), distances_by_step(pixels, clips(500, drift=10), real)
    assert max(steady) < 20
    assert drifting == pytest.approx([4 * (10 * step) ** 2 for step in (1, 2, 3)], rel=0.2)
    assert distances_by_step(pixels, real, real) == pytest.approx([0, 0, 0], abs=1e-6)


def test_real_frames_are_compared_with_the_other_half() -> None:
    first, second = halves(clips(7))
    assert (len(first), len(second)) == (4, 3) and torch.equal(second, clips(7)[1::2])
    frozen = still(clips(4, steps=5))
    assert frozen.shape == (4, 1, 5, 2, 2) and all(torch.equal(frozen[:, :, i], clips(4, steps=5)[:, :, 0]) for i in range(5))


def test_few_rollouts_and_many_features_are_named() -> None:
    assert too_few(512) == () and "only 511 rollouts" in too_few(511)[0]
    with pytest.raises(DataError, match="65 features"):
        distances_by_step(lambda clips: torch.zeros(len(clips), 3, 65), clips(4), clips(5))
    with pytest.raises(DataError, match="at least 2"):
        distances_by_step(pixels, clips(1), clips(5))
