"""What a run does beside learning, every so many steps: pictures of what the model makes."""

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
from vqvae.priors import AutoregressivePrior

Pictures = Mapping[str, UInt8[np.ndarray, "height width 3"]]
Grid = Callable[[Tensor, int], np.ndarray]
"""Draws examples (count, channels, *axes) in so many columns."""
Pairs = Callable[[Tensor, Tensor, int], np.ndarray]
"""Draws rows of examples, each above a row of what was made of them."""


@runtime_checkable
class Callback(Protocol):
    """Called by the first process after every ``every`` steps and at the end, with the module that is evaluated, in evaluation
    mode and without gradients; ``folder`` is the run's. The pictures that it returns are shown in TensorBoard."""

    every: int

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures: ...


class ReconstructionGrid:
    """Pictures of fixed held-out examples above their reconstructions, as ``RUN/grids/reconstructions-NNNNNN.png``."""

    def __init__(self, held_out: Dataset, pairs: Pairs, *, every: int, count: int = 16, columns: int = 8) -> None:
        self.pairs, self.every, self.columns = pairs, every, columns
        # Spread over the whole set: neighbours are often frames of one scene or pictures of one class.
        self.batch = held_out.batch(spread_indices(held_out, count))

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures:
        if len(self.batch.x) == 0:
            return {}
        assert isinstance(module, Tokenizer), "only a tokenizer reconstructs"
        device = next(module.parameters()).device
        batch = self.batch.to(device)
        decoded = module.decode(module.encode(batch), batch.condition, size=tuple(batch.x.shape[2:])).cpu()
        pixels = self.pairs(self.batch.x, decoded, self.columns)
        write_png(folder / "grids" / f"reconstructions-{step:06d}.png", pixels)
        return {"reconstructions": pixels}


class SampleGrid:
    """Pictures of what a prior draws while it is trained, from the same random numbers each time, as ``RUN/grids/samples-NNNNNN.png``."""

    def __init__(self, pipeline: Pipeline, grid: Grid, *, every: int, count: int = 16, columns: int = 8) -> None:
        self.pipeline, self.grid, self.every, self.count, self.columns = pipeline, grid, every, count, columns

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures:
        assert isinstance(module, AutoregressivePrior), "only an autoregressive prior draws samples"
        known = self.pipeline
        pixels = self.grid(Pipeline(known.tokenizer, module, card=known.card).sample(self.count), self.columns)
        write_png(folder / "grids" / f"samples-{step:06d}.png", pixels)
        return {"samples": pixels}
