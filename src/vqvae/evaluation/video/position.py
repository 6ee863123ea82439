"""Where the player of Crafter goes, read from frames alone.

Crafter's view is centred on the player and moves by whole cells, so a step of the player is a shift of the picture. See Hafner 2021,
arXiv 2109.06780.
"""

import torch
from jaxtyping import Bool, Float, Int, Integer, Num
from torch import Tensor

from vqvae.errors import DataError
from vqvae.exact import exact

VIEW, ROWS = 9, 7
"""Cells in each row and column of a frame, and the rows of them that show the map. The inventory is below."""
IN_VIEW = ROWS // 2
"""Steps that a player can take in any direction before leaving the cells that are in view at the start."""
STEPS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
"""How a player can move in one step: cells to the right, and cells down."""
_MOST = 1.0
"""The largest difference of a cell, in variances of the picture: moving creatures must not outweigh the ground."""
_FLAT = 1e-9


def steps_taken(clips: Integer[Tensor, "clips channels time height width"]) -> Int[Tensor, "clips steps 2"]:
    """How the player moves from each frame to the next, as one of ``STEPS``. If several fit equally well, the first.

    Each step predicts the frame from the one before, shifted by whole cells. Brightness and contrast may change, as at dusk. The cells of
    the player in both frames do not count.

    Raises:
        DataError: if frames are smaller than 9 by 9 pixels, or a clip has fewer than 2.
    """
    count, _, time, *size = clips.shape
    if min(size) < VIEW or time < 2:
        raise DataError(f"Clips have {time} frames of {size[0]} x {size[1]} pixels; expected 2 or more, of at least {VIEW} x {VIEW}.")
    cells = _cells(clips.transpose(1, 2).flatten(0, 1)).unflatten(0, (count, time))
    before, after = (side.flatten(0, 1) for side in (cells[:, :-1], cells[:, 1:]))
    costs = torch.stack([_cost(before, after, step) for step in STEPS], 1)
    return torch.tensor(STEPS)[costs.argmin(1)].view(count, time - 1, 2)


def positions_right(
    clips: Integer[Tensor, "clips channels time height width"], positions: Num[Tensor, "clips time 2"]
) -> Bool[Tensor, "clips steps"]:
    """Whether the player is where the engine puts it, after each step.

    Args:
        clips: the last known frame, and the frames after it.
        positions: the engine's positions at the same frames, cells to the right and cells down.
    """
    moved = (positions - positions[:, :1])[:, 1:]
    return (steps_taken(clips).cumsum(1) == moved.round().long().cpu()).all(2)


def _cells(frames: Tensor) -> Float[Tensor, "frames channels rows columns values"]:
    """The map cell by cell, on the CPU."""
    height, width = (length // VIEW for length in frames.shape[2:])
    top, left = ((length - VIEW * cell) // 2 for length, cell in zip(frames.shape[2:], (height, width), strict=True))
    shown = exact(frames).cpu()[:, :, top : top + ROWS * height, left : left + VIEW * width]
    return shown.unflatten(3, (VIEW, width)).unflatten(2, (ROWS, height)).transpose(3, 4).flatten(4)


def _cost(before: Tensor, after: Tensor, step: tuple[int, int]) -> Float[Tensor, " pairs"]:
    """The mean difference of the cells that both frames show, if the player took this step."""
    right, down = step
    old = before[:, :, max(0, down) : ROWS + min(0, down), max(0, right) : VIEW + min(0, right)]
    new = after[:, :, max(0, -down) : ROWS + min(0, -down), max(0, -right) : VIEW + min(0, -right)]
    counted = torch.ones(ROWS, VIEW, dtype=torch.bool)
    counted[ROWS // 2, VIEW // 2] = False
    here = counted[max(0, -down) : ROWS + min(0, -down), max(0, -right) : VIEW + min(0, -right)]
    there = counted[max(0, down) : ROWS + min(0, down), max(0, right) : VIEW + min(0, right)]
    kept = here & there
    a, b = (_normal(side[:, :, kept]) for side in (old, new))
    return (a - b).square().mean((1, 3)).clamp(max=_MOST).mean(1)


def _normal(cells: Tensor) -> Float[Tensor, "pairs channels cells values"]:
    """Without the mean of each channel, and with the same contrast."""
    centred = cells - cells.mean((2, 3), keepdim=True)
    return centred / centred.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=_FLAT)
