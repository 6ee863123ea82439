"""What the integer prior sees of other codes: neighbours before a position in raster order, codes of the levels above, and its place."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int64, Integer

PLACES = 32
"""Parts that an axis is divided into, to say where a position is."""
_BEFORE, _PICTURE, _FRAME = 16, 3, 2
"""How far neighbours are away: along one axis, in a picture, in a clip."""


def neighbours(axes: int) -> Int64[np.ndarray, "neighbours axes"]:
    """The offsets of the neighbours before a position, which are all before it in raster order.

    One axis: the last 16. Two: half a window of 7×7. More: half a window of 5×5 in the last two axes, and the whole window one step
    back along each axis before them.
    """
    if axes == 0:
        return np.zeros((0, 0), np.int64)
    if axes == 1:
        return np.arange(-_BEFORE, 0).reshape(-1, 1)
    reach = _PICTURE if axes == 2 else _FRAME
    window = list(itertools.product(range(-reach, reach + 1), repeat=2))
    still = (0,) * (axes - 2)
    found = [still + offset for offset in window if offset < (0, 0)]
    for axis in range(axes - 2):
        back = (*still[:axis], -1, *still[axis + 1 :])
        found += [back + offset for offset in window]
    return np.array(found, np.int64)


def around(axes: int) -> Int64[np.ndarray, "neighbours axes"]:
    """The offsets of the codes of a level above: the window of 3 along each axis."""
    return np.array(list(itertools.product((-1, 0, 1), repeat=axes)), np.int64).reshape(3**axes, axes)


class Padded:
    """A map of codes with empty positions around it, as one row."""

    def __init__(self, space: tuple[int, ...], offsets: Int64[np.ndarray, "neighbours axes"]) -> None:
        self._reach = np.abs(offsets).max(0, initial=0)
        self._space, self._padded = space, tuple(int(one) for one in np.array(space, np.int64) + 2 * self._reach)
        self._strides = np.array([math.prod(self._padded[axis + 1 :]) for axis in range(len(space))], np.int64)
        self.offsets = offsets @ self._strides
        """What leads from a position to its neighbours."""

    def at(self, places: Int64[np.ndarray, "positions axes"]) -> Int64[np.ndarray, " positions"]:
        """The indices of some coordinates."""
        return (places + self._reach) @ self._strides

    def empty(self, codebooks: int) -> Int64[np.ndarray, "padded codebooks"]:
        """A map without codes, which are 1 more than usual: 0 is no code. Memory is used where codes are written."""
        return np.zeros((math.prod(self._padded), codebooks), np.int64)

    def fill(self, codes: Integer[np.ndarray, "codebooks *space"]) -> Int64[np.ndarray, "padded codebooks"]:
        """The map with codes; see ``empty``."""
        filled = self.empty(len(codes))
        inside = tuple(slice(one, one + length) for one, length in zip(self._reach.tolist(), self._space, strict=True))
        filled.reshape(*self._padded, len(codes))[inside] = np.moveaxis(codes, 0, -1) + 1
        return filled


class Context:
    """Where the context of each position is, for maps of one space. Positions are numbers in raster order."""

    def __init__(
        self,
        space: tuple[int, ...],
        above: Sequence[tuple[int, ...]] = (),
        strides: Sequence[tuple[int, ...]] = (),
        classes: int = 0,
        actions: int = 0,
    ) -> None:
        """Prepare the maps.

        Args:
            space: the space of the codes.
            above: the spaces of the levels above.
            strides: data positions per code, of the levels above and, last, of this one.
            classes, actions: how many there are; 0: none.
        """
        self.count = math.prod(space)
        """Number of positions."""
        self._space, self._spaces, self._strides, self._classes, self._actions = space, above, strides, classes, actions
        self.own = Padded(space, neighbours(len(space)))
        """The map itself."""
        self.above = [Padded(one, around(len(space))) for one in above]
        """The maps above."""

    def inside(self, positions: Int64[np.ndarray, " positions"]) -> Int64[np.ndarray, " positions"]:
        """The places of positions in ``own``."""
        return self.own.at(coordinates(self._space, positions))

    def nearest(self, level: int, positions: Int64[np.ndarray, " positions"]) -> Int64[np.ndarray, " positions"]:
        """The places in ``above[level]`` that cover the same data."""
        last = np.array(self._spaces[level], np.int64) - 1
        places = coordinates(self._space, positions) * self._strides[-1] // self._strides[level]
        return self.above[level].at(np.clip(places, 0, last))

    def rows(
        self, positions: Int64[np.ndarray, " positions"], label: int | None, actions: Int[np.ndarray, " steps"] | None
    ) -> Int64[np.ndarray, "positions given"]:
        """For each position, rows of a table with ``given_rows`` rows: its place, the label, and the action before its frame."""
        places, axes = coordinates(self._space, positions), place_axes(len(self._space))
        lengths = np.array(self._space, np.int64)[axes]
        found, first = [places[:, axes] * PLACES // np.maximum(lengths, 1) + np.arange(len(lengths)) * PLACES], PLACES * len(lengths)
        if self._classes:
            found.append(np.full((len(places), 1), first + (self._classes if label is None else label)))
            first += self._classes + 1
        if self._actions:
            before = places[:, 0] - 1 if self._space else np.full(len(places), -1)
            known = np.append([] if actions is None else actions, self._actions).astype(np.int64)
            found.append(first + known[np.where(before < 0, len(known) - 1, np.minimum(before, len(known) - 1))][:, None])
        return np.concatenate(found, axis=1)


def given_rows(axes: int, classes: int, actions: int) -> int:
    """The number of rows that ``Context.rows`` chooses from. A label or an action that is not known has a row of its own."""
    return PLACES * len(range(axes)[place_axes(axes)]) + (classes + 1 if classes else 0) + (actions + 1 if actions else 0)


def place_axes(axes: int) -> slice:
    """The axes along which a place means something: height and width, but not time."""
    return slice(axes - 2, axes) if axes >= 2 else slice(0, 0)


def coordinates(space: tuple[int, ...], positions: Int64[np.ndarray, " positions"]) -> Int64[np.ndarray, "positions axes"]:
    """The coordinates of positions."""
    return np.stack(np.unravel_index(positions, space), axis=1) if space else np.zeros((len(positions), 0), np.int64)
