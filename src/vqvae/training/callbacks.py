"""Callbacks draw pictures of the model's output at intervals while it is trained."""

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
"""The folder of a run for pictures that are drawn during training."""
EARLY, SOON = 50, 30.0
"""The first pictures are drawn after 50 steps. If steps are slow, they are drawn after 30 seconds."""
Picture = UInt8[np.ndarray, "height width 3"]
Pictures = Mapping[str, Picture]
Pairs = Callable[[Tensor, Tensor, int], Picture]
"""Draws two batches, the first above the second, in a number of columns. For images: ``vqvae.reports.grids.pair_grid``."""
Grid = Callable[[Tensor, int], Picture]
"""Draws a batch in a number of columns. For images: ``vqvae.reports.grids.grid``."""


@runtime_checkable
class Callback(Protocol):
    """A function that the first process calls every ``every`` steps, once early (see ``EARLY``), and at the end.

    If ``every`` is 0, it is called only at the end. The module is in evaluation mode and gradients are off. ``folder`` is the run folder.
    TensorBoard shows the pictures that it returns.
    """

    every: int

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures: ...


class Early:
    """Decides when the first pictures are drawn."""

    def __init__(self) -> None:
        self._began, self._was = time.monotonic(), False

    def __call__(self, step: int) -> bool:
        """Whether to draw the first pictures after this step. Call it once per step."""
        now = not self._was and (step == EARLY or (step < EARLY and time.monotonic() - self._began > SOON))
        self._was |= now
        return now


def is_due(callback: Callback, step: int, early: bool) -> bool:
    """Whether to call a callback after this step. ``early``: whether the first pictures are due. The end of training is not considered."""
    return (early and step < callback.every) or (callback.every > 0 and step % callback.every == 0)


def drawn(callback: Callback, step: int, module: nn.Module, folder: Path) -> Pictures:
    """The pictures of a callback. If it fails, log the error and return no pictures: training continues."""
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
            held_out: the data set to choose from.
            pairs: draws examples above their reconstructions.
            every: steps between pictures. 0: draw only at the end.
            count: number of examples.
            columns: number of examples in a row.
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
    """Samples of a prior during training, from the same random numbers each time, as ``RUN/grids/samples-NNNNNN.png``."""

    def __init__(self, pipeline: Pipeline, grid: Grid, *, every: int, count: int = 16, columns: int = 8) -> None:
        """Set up the samples.

        Args:
            pipeline: the tokenizer with its card.
            grid: draws samples.
            every: steps between pictures. 0: draw only at the end.
            count: number of samples.
            columns: number of samples in a row.
        """
        self.pipeline, self.grid, self.every, self.count, self.columns = pipeline, grid, every, count, columns

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures:
        assert isinstance(module, SamplingPrior), "only a SamplingPrior draws samples"
        # The card holds the label names, the data size and the signal.
        data = Pipeline(self.pipeline.tokenizer, module, card=self.pipeline.card).sample(self.count)
        pixels = self.grid(data, self.columns)
        write_png(folder / GRIDS / f"samples-{step:06d}.png", pixels)
        return {"samples": pixels}
