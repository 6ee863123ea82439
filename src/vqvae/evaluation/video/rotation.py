"""How far a turn moves the picture sideways, and the engine's rotation for such a movement.

The movement is measured in the same way in real and in imagined frames. A line fitted to real pairs gives the degrees.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer, Num
from torch import Tensor
from torch.nn import functional as F

from vqvae.errors import DataError
from vqvae.exact import exact

REACHES = (0.1, 0.2, 0.3, 0.45)
"""Largest movements to try, as shares of the width. A wide search finds more wrong matches."""
_BANDS = 8
"""Bands of rows whose brightness is compared."""
_FINER = 4
"""Positions per pixel in the search, before a parabola refines the best one."""
_FLAT = 1e-9


def displacement(
    before: Integer[Tensor, "pairs channels height width"],
    after: Integer[Tensor, "pairs channels height width"],
    reach: float = REACHES[-1],
) -> Float[Tensor, " pairs"]:
    """How many pixels the picture moves to the right from each frame to the next. A turn to the left moves it to the right.

    The columns of both frames are compared at each shift, over the part that both show. Of all shifts, the one with the smallest mean
    difference, relative to the contrast of that part, wins. Frames without contrast give 0.

    Args:
        before, after: the frames.
        reach: the largest movement, as a share of the width.

    Raises:
        DataError: if the frames are narrower than 8 pixels.
    """
    if before.shape[3] < 8:
        raise DataError(f"Frames are {before.shape[3]} pixels wide; a movement needs 8 or more pixels.")
    first, second = _columns(before), _columns(after)
    width = first.shape[2]
    most = max(1, int(width * reach))
    shifts = torch.arange(-most, most + 1)
    costs = torch.stack([_cost(first, second, shift) for shift in shifts.tolist()], 1)
    best = costs.argmin(1)
    inside = best.clamp(1, len(shifts) - 2)
    left, middle, right = (costs.gather(1, (inside + step)[:, None])[:, 0] for step in (-1, 0, 1))
    bend = left - 2 * middle + right
    offset = torch.where(bend > _FLAT, (left - right) / (2 * bend).clamp(min=_FLAT), torch.zeros_like(bend)).clamp(-0.5, 0.5)
    moved = shifts[inside] + torch.where(inside == best, offset, exact(best - inside))
    contrast = first.flatten(1).var(1) + second.flatten(1).var(1)
    return torch.where(contrast > _FLAT, moved / _FINER, torch.zeros_like(moved)).float()


@dataclass(frozen=True)
class Calibration:
    """Degrees = ``slope`` · pixels + ``intercept``, fitted to real pairs."""

    slope: float
    intercept: float
    r_squared: float
    """The share of the variance of the rotation that the line explains."""
    error: float
    """The median absolute error on the real pairs, in degrees."""
    reach: float = REACHES[-1]
    """The largest movement that is searched, as a share of the width."""

    def degrees(self, pixels: Float[Tensor, " pairs"]) -> Float[Tensor, " pairs"]:
        """The rotation for each movement of the picture, counterclockwise."""
        return self.slope * pixels + self.intercept

    def rotation(
        self, before: Integer[Tensor, "pairs channels height width"], after: Integer[Tensor, "pairs channels height width"]
    ) -> Float[Tensor, " pairs"]:
        """The rotation from each frame to the next, in degrees, counterclockwise."""
        return self.degrees(displacement(before, after, self.reach))


def turned(angles: Num[Tensor, "*clips time"]) -> Float[Tensor, "*clips steps"]:
    """The rotation from each frame to the next, in (-180, 180], from the engine's angles in degrees."""
    return 180 - (180 - exact(angles).diff(dim=-1)) % 360


def calibrate(pixels: Float[Tensor, " pairs"], degrees: Num[Tensor, " pairs"], rounds: int = 10) -> Calibration:
    """Fit the line to real pairs by least squares, ``rounds`` times. Each round omits the pairs whose error exceeds 4 times the median:
    near walls and in the dark, a movement can be ambiguous. ``r_squared`` and ``error`` include all pairs.

    Raises:
        DataError: if there are fewer than 3 pairs, or all moved equally far.
    """
    x, y = exact(pixels).cpu(), exact(degrees).cpu()
    if len(x) < 3 or float(x.var()) < _FLAT:
        raise DataError(f"A calibration needs at least 3 pairs of frames with different movements; there are {len(x)} pairs.")
    kept = torch.ones(len(x), dtype=torch.bool)
    slope = intercept = torch.zeros((), dtype=torch.float64)
    for _ in range(rounds):
        a, b = x[kept], y[kept]
        slope = ((a - a.mean()) * (b - b.mean())).sum() / (a - a.mean()).square().sum().clamp(min=_FLAT)
        intercept = b.mean() - slope * a.mean()
        error = (y - slope * x - intercept).abs()
        kept = error <= 4 * error[kept].median() + _FLAT
    error = (y - slope * x - intercept).abs()
    share = 1 - float(error.square().sum() / (y - y.mean()).square().sum().clamp(min=_FLAT))
    return Calibration(float(slope), float(intercept), share, float(error.median()))


def calibrate_frames(
    before: Integer[Tensor, "pairs channels height width"],
    after: Integer[Tensor, "pairs channels height width"],
    degrees: Num[Tensor, " pairs"],
) -> Calibration:
    """``calibrate`` on real frames, with the reach whose line explains most.

    Raises:
        DataError: as ``displacement`` and ``calibrate``.
    """
    tried = [replace(calibrate(displacement(before, after, reach), degrees), reach=reach) for reach in REACHES]
    return max(tried, key=lambda one: one.r_squared)


def _columns(frames: Tensor) -> Float[Tensor, "pairs bands columns"]:
    """The mean brightness of each column in each band of rows, in float64, with ``_FINER`` columns per pixel."""
    bands = F.adaptive_avg_pool2d(exact(frames).cpu().mean(1, keepdim=True), (_BANDS, frames.shape[3]))[:, 0]
    return F.interpolate(bands, size=(frames.shape[3] - 1) * _FINER + 1, mode="linear", align_corners=True)


def _cost(first: Tensor, second: Tensor, shift: int) -> Float[Tensor, " pairs"]:
    """The squared difference over the shared part if the second frame is moved back, relative to the variance of that part."""
    width = first.shape[2]
    a = first[:, :, max(0, -shift) : width - max(0, shift)]
    b = second[:, :, max(0, shift) : width - max(0, -shift)]
    # Each band without its mean: light may change.
    a, b = a - a.mean(2, keepdim=True), b - b.mean(2, keepdim=True)
    return (a - b).square().flatten(1).mean(1) / (a.square() + b.square()).flatten(1).mean(1).clamp(min=_FLAT)
