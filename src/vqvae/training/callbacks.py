"""What a run does besides learning, at intervals: pictures of what the model makes."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from torch import Tensor, nn

from vqvae.data.base import Dataset
from vqvae.data.loader import spread_indices
from vqvae.media.images import write_png
from vqvae.models.base import Tokenizer
from vqvae.pipeline import Pipeline
from vqvae.priors import SamplingPrior
from vqvae.words import say

GRIDS = "grids"
"""The folder in a run that holds the pictures drawn while training."""
EARLY, SOON = 50, 30.0
"""Callbacks draw for the first time after so many steps or, if steps are slow, seconds: there are pictures in the first minute."""
Picture = UInt8[np.ndarray, "height width 3"]
Pictures = Mapping[str, Picture]
Pairs = Callable[[Tensor, Tensor, int], Picture]
"""Draws two kinds of data, the first above the second, in so many columns; of images ``vqvae.reports.grids.pair_grid`` does it."""
Grid = Callable[[Tensor, int], Picture]
"""Draws data in so many columns; of images ``vqvae.reports.grids.grid`` does it."""


@runtime_checkable
class Callback(Protocol):
    """The first process calls it after every ``every`` steps, once early in the first minute, and at the end (0: only at the end). It gets
    the module in evaluation mode, without gradients, and the folder of the run. TensorBoard shows the pictures that it returns."""

    every: int

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures: ...


class Early:
    """Finds the step after which pictures are drawn for the first time."""

    def __init__(self) -> None:
        self._began, self._was = time.monotonic(), False

    def __call__(self, step: int) -> bool:
        """Whether it is this step. Call it once per step."""
        now = not self._was and (step == EARLY or (step < EARLY and time.monotonic() - self._began > SOON))
        self._was |= now
        return now


def is_due(callback: Callback, step: int, early: bool) -> bool:
    """Whether a callback is called after this step. ``early``: pictures are drawn for the first time. The last step is not considered."""
    return (early and step < callback.every) or (callback.every > 0 and step % callback.every == 0)


def drawn(callback: Callback, step: int, module: nn.Module, folder: Path) -> Pictures:
    """The pictures of a callback. If it fails, there are none, with a message: pictures do not end a training."""
    try:
        is_first = step <= EARLY and not (folder / GRIDS).exists()
        pictures = callback(step, module, folder)
        if pictures and is_first:
            say(f"The first pictures are in {folder / GRIDS}.")
        return pictures
    except Exception as error:
        say(f"No picture after step {step}: {type(callback).__name__} failed ({error}). Training continues.")
        return {}


class ReconstructionGrid:
    """Fixed held-out examples and their reconstructions, as ``RUN/grids/reconstructions-NNNNNN.png``."""

    def __init__(self, held_out: Dataset, pairs: Pairs, *, every: int, count: int = 16, columns: int = 8) -> None:
        """Choose the examples.

        Args:
            held_out: where they are from.
            pairs: draws data above what was made of it, in so many columns.
            every: steps from one picture to the next; 0 is only the last.
            count: how many examples.
            columns: examples side by side.
        """
        self.pairs, self.every, self.columns = pairs, every, columns
        # Spread over the whole set: neighbours are often frames of one scene or examples of one class.
        self.batch = held_out.batch(spread_indices(held_out, count))

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures:
        if len(self.batch.x) == 0:
            return {}
        assert isinstance(module, Tokenizer), "only a tokenizer reconstructs"
        batch = self.batch.to(next(module.parameters()).device)
        decoded = module.decode(module.encode(batch), batch.condition, size=tuple(batch.x.shape[2:])).cpu()
        pixels = self.pairs(self.batch.x, decoded, self.columns)
        write_png(folder / GRIDS / f"reconstructions-{step:06d}.png", pixels)
        return {"reconstructions": pixels}


class SampleGrid:
    """What a prior draws while it is trained, from the same random numbers each time, as ``RUN/grids/samples-NNNNNN.png``."""

    def __init__(self, pipeline: Pipeline, grid: Grid, *, every: int, count: int = 16, columns: int = 8) -> None:
        """Choose what is drawn.

        Args:
            pipeline: the tokenizer with its card.
            grid: draws data in so many columns.
            every: steps from one picture to the next; 0 is only the last.
            count: how many samples.
            columns: samples side by side.
        """
        self.pipeline, self.grid, self.every, self.count, self.columns = pipeline, grid, every, count, columns

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures:
        assert isinstance(module, SamplingPrior), "only a SamplingPrior draws samples"
        # The card has the names of the labels, the size of the data and its signal.
        data = Pipeline(self.pipeline.tokenizer, module, card=self.pipeline.card).sample(self.count)
        pixels = self.grid(data, self.columns)
        write_png(folder / GRIDS / f"samples-{step:06d}.png", pixels)
        return {"samples": pixels}
