"""The Fréchet distance of imagined frames from real ones, step by step.

A model that degrades drifts away with each step. Read the distances beside those of real frames from other real frames.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vqvae.errors import DataError
from vqvae.evaluation.images.frechet import Moments, frechet_distance

ENOUGH = 512
"""Rollouts for a reliable distance."""
MOST_FEATURES = 64
"""Features: more would need more rollouts."""
Features = Callable[[Tensor], Tensor]
"""Frames (batch, channels, height, width) to features (batch, features)."""


def distances_by_step(
    features: Features,
    clips: UInt8[Tensor, "rollouts channels steps height width"],
    real: UInt8[Tensor, "others channels steps height width"],
) -> list[float]:
    """The distance of the frames at each step from the real frames at the same step.

    Raises:
        DataError: if there are more than 64 features, or fewer than 2 clips on a side.
    """
    pairs = zip(clips.unbind(2), real.unbind(2), strict=True)
    return [frechet_distance(_moments(features, made), _moments(features, true)) for made, true in pairs]


def halves(clips: UInt8[Tensor, "rollouts channels steps height width"]) -> tuple[Tensor, Tensor]:
    """Every other clip, and the others: to measure real frames against real frames."""
    return clips[::2], clips[1::2]


def still(last: UInt8[Tensor, "rollouts channels height width"], steps: int) -> UInt8[Tensor, "rollouts channels steps height width"]:
    """The last known frame at every step: what a model that imagines nothing would show."""
    return last.unsqueeze(2).expand(-1, -1, steps, -1, -1)


def too_few(rollouts: int) -> tuple[str, ...]:
    """A warning if there are too few rollouts for a reliable distance."""
    if rollouts >= ENOUGH:
        return ()
    return (f"The Fréchet distances come from only {rollouts} rollouts. With fewer than {ENOUGH}, they depend on the choice of rollouts.",)


def _moments(features: Features, frames: Tensor) -> Moments:
    found: Float[Tensor, "batch features"] = features(frames)
    if found.shape[1] > MOST_FEATURES:
        raise DataError(f"There are {found.shape[1]} features; distances of imagined frames take at most {MOST_FEATURES}.")
    moments = Moments()
    moments.add(torch.as_tensor(found))
    return moments
