"""The Fréchet distance of imagined frames from real ones, step by step.

A model that degrades drifts away with each step. Read the distances beside those of real frames from other real frames.
"""

from collections.abc import Callable

from jaxtyping import Float, UInt8
from torch import Tensor

from vqvae.errors import DataError
from vqvae.evaluation.images.frechet import Moments, frechet_distance
from vqvae.words import counted

ENOUGH = 512
"""Number of rollouts for a reliable distance."""
MOST_FEATURES = 64
"""The largest number of features. More would need more rollouts."""
Features = Callable[[Tensor], Tensor]
"""Clips (clips, channels, time, height, width) to numbers that describe each frame but the first (clips, time - 1, features)."""


def distances_by_step(
    features: Features,
    clips: UInt8[Tensor, "rollouts channels time height width"],
    real: UInt8[Tensor, "others channels time height width"],
) -> list[float]:
    """The distance of each frame but the first from the real frames at the same step.

    Raises:
        DataError: if there are more than 64 features, or fewer than 2 clips on a side.
    """
    steps = zip(features(clips).unbind(1), features(real).unbind(1), strict=True)
    return [frechet_distance(_moments(made), _moments(true)) for made, true in steps]


def halves(clips: UInt8[Tensor, "rollouts channels steps height width"]) -> tuple[Tensor, Tensor]:
    """Every other clip, and the others: to measure real frames against real frames."""
    return clips[::2], clips[1::2]


def still(clips: UInt8[Tensor, "rollouts channels time height width"]) -> UInt8[Tensor, "rollouts channels time height width"]:
    """The first frame at every step: what a model that imagines nothing would show."""
    return clips[:, :, :1].expand_as(clips)


def too_few(rollouts: int) -> tuple[str, ...]:
    """A warning if there are too few rollouts for a reliable distance."""
    if rollouts >= ENOUGH:
        return ()
    few = counted(rollouts, "rollouts")
    return (f"The Fréchet distances come from only {few}. With fewer than {ENOUGH}, they depend on the choice of rollouts.",)


def _moments(features: Float[Tensor, "batch features"]) -> Moments:
    if features.shape[1] > MOST_FEATURES:
        raise DataError(f"There are {features.shape[1]} features; distances of imagined frames take at most {MOST_FEATURES}.")
    moments = Moments()
    moments.add(features)
    return moments
