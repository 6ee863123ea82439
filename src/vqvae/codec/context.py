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
    """The indices of a map with empty positions around it, as one row."""

    def __init__(self, space: tuple[int, ...], offsets: Int64[np.ndarray, "neighbours axes"]) -> None:
        reach = [int(one) for one in np.abs(offsets).max(0, initial=0)] if len(offsets) else [0] * len(space)
        padded = [length + 2 * one for length, one in zip(space, reach, strict=True)]
        self._strides = np.array([math.prod(padded[axis + 1 :]) for axis in range(len(space))], np.int64)
        self._reach = np.array(reach, np.int64)
        self._space = space
        self.size = math.prod(padded)
        """Number of positions with the empty ones."""
        self.offsets = offsets @ self._strides
        """What leads from a position to its neighbours."""
        self.inside = self.at(coordinates(space))
        """The positions of the map in raster order."""

    def at(self, places: Int64[np.ndarray, "positions axes"]) -> Int64[np.ndarray, " positions"]:
        """The index of each of some coordinates, which may lie outside by less than the reach; the nearest ones if farther."""
        nearest = np.clip(places, -self._reach, np.array(self._space, np.int64) - 1 + self._reach)
        return (nearest + self._reach) @ self._strides

    def fill(self, codes: Integer[np.ndarray, "codebooks *space"], outside: int) -> Int64[np.ndarray, "padded codebooks"]:
        """The codes with a number of their own for empty positions."""
        filled = np.full((self.size, len(codes)), outside, np.int64)
        filled[self.inside] = codes.reshape(len(codes), -1).T
        return filled


class Context:
    """Where the context of each position is, for maps of one space."""

    def __init__(
        self,
        space: tuple[int, ...],
        above: Sequence[tuple[int, ...]] = (),
        strides: Sequence[tuple[int, ...]] = (),
        classes: int = 0,
        actions: int = 0,
    ) -> None:
        """Compute the indices.

        Args:
            space: the space of the codes.
            above: the spaces of the levels above.
            strides: data positions per code, of the levels above and, last, of this one.
            classes, actions: how many there are; 0: none.
        """
        self._classes, self._actions = classes, actions
        self.own = Padded(space, neighbours(len(space)))
        """The map itself."""
        places = coordinates(space)
        self.above = [Padded(one, around(len(space))) for one in above]
        """The maps above."""
        self.nearest = [
            padded.at(np.clip(places * strides[-1] // stride, 0, np.array(one, np.int64) - 1))
            for padded, one, stride in zip(self.above, above, strides[:-1], strict=True)
        ]
        """For each of these, the position that covers the same data."""
        self._time = places[:, 0] if len(space) else np.zeros(1, np.int64)
        axes = place_axes(len(space))
        lengths = np.array(space, np.int64)[axes]
        self._places = places[:, axes] * PLACES // np.maximum(lengths, 1) + np.arange(len(lengths)) * PLACES

    def rows(self, label: int | None, actions: Int[np.ndarray, " steps"] | None) -> Int64[np.ndarray, "positions given"]:
        """For each position, rows of a table with ``given_rows`` rows: its place, the label, and the action before its frame."""
        found, first = [self._places], PLACES * self._places.shape[1]
        if self._classes:
            found.append(np.full((len(self._places), 1), first + (self._classes if label is None else label)))
            first += self._classes + 1
        if self._actions:
            known = np.full(int(self._time.max(initial=0)) + 1, self._actions)
            if actions is not None:
                count = min(len(actions), len(known) - 1)
                known[1 : count + 1] = actions[:count]
            found.append(first + known[self._time][:, None])
        return np.concatenate(found, axis=1)


def given_rows(axes: int, classes: int, actions: int) -> int:
    """The number of rows that ``Context.rows`` chooses from. A label or an action that is not known has a row of its own."""
    return PLACES * len(range(axes)[place_axes(axes)]) + (classes + 1 if classes else 0) + (actions + 1 if actions else 0)


def place_axes(axes: int) -> slice:
    """The axes along which a place means something: height and width, but not time."""
    return slice(axes - 2, axes) if axes >= 2 else slice(0, 0)


def coordinates(space: tuple[int, ...]) -> Int64[np.ndarray, "positions axes"]:
    """The coordinates of all positions, in raster order."""
    return np.stack(np.unravel_index(np.arange(math.prod(space)), space), axis=1) if space else np.zeros((1, 0), np.int64)
