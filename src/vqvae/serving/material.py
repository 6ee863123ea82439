"""The training data of served runs: real starts of worlds, and what each code stands for in it."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from vqvae.data import ClipsDataset
from vqvae.data.base import Dataset, Splits
from vqvae.data.engines import Engine
from vqvae.data.episodes import Episodes
from vqvae.errors import ConfigError, MissingExtraError, VqvaeError
from vqvae.evaluation.video.strips import CONTEXT
from vqvae.pipeline import Pipeline
from vqvae.runs.encoding import read_codes
from vqvae.runs.folder import stored_data
from vqvae.serving.wire import MEDIA, Sent, png_of

_log = logging.getLogger(__name__)
EXAMPLES = 1024
"""Training examples in which patches are looked for."""
PATCHES = 4
"""Patches of each code."""
AROUND = 3
"""Height and width of a patch, in codes: the middle one is the code."""
_MOST_PIXELS = 2**22
_COLUMNS = 64


class Start(NamedTuple):
    """Where a world begins."""

    frames: Tensor
    """Known frames, uint8 (1, channels, time, height, width)."""
    actions: Tensor | None
    """The actions between them, int64 (1, time - 1)."""


class Material:
    """The data of a run, if it is here."""

    def __init__(self, run: Path, splits: Splits | None, why: str = "The server's log says why.") -> None:
        self._run, self._splits = run, splits
        self.missing = None if splits is not None else f"The training data of this run is not here. {why}"
        """Why the data is not here, without places of this machine. None if it is."""

    @classmethod
    def of(cls, run: Path) -> "Material":
        """The data of a run. What cannot be read is missing, and the log says why."""
        try:
            return cls(run, stored_data(run))
        except VqvaeError as error:
            _log.warning("%s is served without its training data: %s", run, error)
            return cls(run, None, str(error)) if isinstance(error, MissingExtraError) else cls(run, None)

    @property
    def splits(self) -> Splits | None:
        """Both sides of the data. None if it is not here."""
        return self._splits

    @property
    def starts(self) -> int:
        """The number of real starts: held-out episodes with enough frames."""
        return len(self._starts())

    def start(self, number: int) -> Start:
        """The first frames of a held-out episode.

        Raises:
            ConfigError: there is no such start.
        """
        episodes, place = self._place(number)
        first = episodes.frames_of(place).start
        rows = slice(first, first + CONTEXT)
        frames = torch.from_numpy(episodes.frames[rows].copy()).transpose(0, 1)[None]
        actions = None if episodes.actions is None else torch.from_numpy(episodes.actions[rows].copy()).long()[None, :-1]
        return Start(frames, actions)

    @property
    def has_engine(self) -> bool:
        """Whether the engine that made the episodes can continue them."""
        held_out = self._held_out()
        return held_out is not None and held_out.episodes.live is not None

    def engine(self, number: int) -> Engine:
        """The engine after the frames of ``start``, to be closed at the end.

        Raises:
            ConfigError: there is no such start.
            DataError: the engine does not repeat the start.
        """
        episodes, place = self._place(number)
        assert episodes.live is not None
        return episodes.live(place, CONTEXT)

    def codebook(self, model: Pipeline) -> dict[str, Any]:
        """Patches of training data for each code, a sheet for each level.

        Raises:
            ConfigError: the data or its codes are not here.
        """
        if self._splits is None:
            raise ConfigError(f"There are no patches. {self.missing}")
        data = self._splits.train.apart()
        levels = []
        for number in range(len(model.layout)):
            codes = read_codes(self._run, level=number).train
            levels.append(_sheet(data, codes, model, number))
        return {"levels": levels}

    def _place(self, number: int) -> tuple[Episodes, int]:
        """The held-out episodes, and which of them a start belongs to."""
        found, held_out = self._starts(), self._held_out()
        if held_out is None or not 0 <= number < len(found):
            raise ConfigError(f"start is {number}; this run has {len(found)} real starts here, numbered from 0.")
        return held_out.episodes, found[number]

    def _held_out(self) -> ClipsDataset | None:
        held_out = None if self._splits is None else self._splits.held_out
        return held_out if isinstance(held_out, ClipsDataset) else None

    def _starts(self) -> list[int]:
        held_out = self._held_out()
        return [] if held_out is None else np.flatnonzero(held_out.episodes.lengths >= CONTEXT).tolist()


def _sheet(data: Dataset, codes: Dataset, model: Pipeline, number: int) -> dict[str, Any]:
    """The patches of the codes of a level, as one picture with its index."""
    level = model.layout[number]
    channels, cells = model.signal.channels, level.num_codebooks * level.codebook_size
    around, each = AROUND, PATCHES
    while cells * each * around**2 * level.stride[0] * level.stride[1] > _MOST_PIXELS and (each > 1 or around > 1):
        around, each = (1, each) if around > 1 else (1, each // 2)
    height, width = around * level.stride[0], around * level.stride[1]
    columns = min(_COLUMNS, cells * each)
    rows = -(-cells * each // columns)
    sheet = np.zeros((channels, rows * height, columns * width), np.uint8)
    counts = np.zeros((level.num_codebooks, level.codebook_size), np.int64)
    indices = np.linspace(0, len(data) - 1, min(EXAMPLES, len(data))).astype(np.int64)
    for some in np.array_split(indices, -(-len(indices) // 64)):
        if counts.min() >= each:
            break
        pixels, found = data.batch(some).x, codes.batch(some).x.numpy()
        shown = _eight_bits(pixels, model)
        for example, of in zip(shown, found, strict=True):
            _take(sheet, counts, _patches(example, level.stride, around, of.shape[1:]), of, each, columns)
    url = Sent(png_of(sheet), MEDIA[".png"]).url
    return {"patch": [height, width], "columns": columns, "per_code": each, "sheet": url, "counts": counts.tolist()}


def _eight_bits(pixels: Tensor, model: Pipeline) -> UInt8[np.ndarray, "n channels height width"]:
    levels = model.signal.levels or 256
    return (pixels.long() * 255 // (levels - 1)).to(torch.uint8).numpy() if levels != 256 else pixels.numpy()


def _patches(
    picture: UInt8[np.ndarray, "channels height width"], stride: tuple[int, ...], around: int, space: tuple[int, ...]
) -> UInt8[np.ndarray, "rows columns channels tall wide"]:
    """The patch around each code: a view of the picture, whose edges are repeated."""
    (down, across), extra = stride, around // 2
    height, width = picture.shape[1:]
    margins = ((extra * down, (space[0] + extra) * down - height), (extra * across, (space[1] + extra) * across - width))
    padded = np.pad(picture, ((0, 0), *margins), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (around * down, around * across), axis=(1, 2))
    return windows[:, ::down, ::across].transpose(1, 2, 0, 3, 4)


def _take(
    sheet: UInt8[np.ndarray, "channels height width"],
    counts: Int[np.ndarray, "codebooks codes"],
    patches: UInt8[np.ndarray, "rows columns channels tall wide"],
    codes: Int[np.ndarray, "codebooks rows columns"],
    each: int,
    columns: int,
) -> None:
    """Put patches of codes that still need some into the sheet."""
    tall, wide = patches.shape[3:]
    for book, of in enumerate(codes):
        for code, first in zip(*np.unique(of, return_index=True), strict=True):
            if counts[book, code] >= each:
                continue
            row, column = divmod(int(first), of.shape[1])
            place, offset = divmod((book * counts.shape[1] + int(code)) * each + int(counts[book, code]), columns)
            sheet[:, place * tall : (place + 1) * tall, offset * wide : (offset + 1) * wide] = patches[row, column]
            counts[book, code] += 1
