"""What a run does beside learning, every so many steps: pictures of what the model makes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from torch import nn

from vqvae.data.base import Dataset
from vqvae.data.loader import spread_indices
from vqvae.models.base import Tokenizer
from vqvae.pipeline import Pipeline
from vqvae.priors import AutoregressivePrior
from vqvae.reports.grids import grid, pair_grid, save_png

Pictures = Mapping[str, UInt8[np.ndarray, "height width 3"]]


@runtime_checkable
class Callback(Protocol):
    """Called by the first process after every ``every`` steps and at the end, with the module that is evaluated, in evaluation
    mode and without gradients; ``folder`` is the run's. The pictures that it returns are shown in TensorBoard."""

    every: int

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures: ...


class ReconstructionGrid:
    """Fixed held-out images above their reconstructions, as ``RUN/grids/reconstructions-NNNNNN.png``."""

    def __init__(self, held_out: Dataset, *, every: int, count: int = 16, columns: int = 8) -> None:
        self.every, self.columns = every, columns
        # Spread over the whole set: neighbours are often frames of one scene or pictures of one class.
        self.batch = held_out.batch(spread_indices(held_out, count))

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures:
        if len(self.batch.x) == 0:
            return {}
        assert isinstance(module, Tokenizer), "only a tokenizer reconstructs"
        device = next(module.parameters()).device
        batch = self.batch.to(device)
        size = batch.x.shape[2:]
        decoded = module.decode(module.encode(batch), batch.condition).cpu()
        pixels = pair_grid(self.batch.x, decoded[:, :, : size[0], : size[1]], self.columns)
        save_png(folder / "grids" / f"reconstructions-{step:06d}.png", pixels)
        return {"reconstructions": pixels}


class SampleGrid:
    """Images that a prior draws while it is trained, from the same random numbers each time, as ``RUN/grids/samples-NNNNNN.png``."""

    def __init__(self, pipeline: Pipeline, *, every: int, count: int = 16, columns: int = 8) -> None:
        self.pipeline, self.every, self.count, self.columns = pipeline, every, count, columns

    def __call__(self, step: int, module: nn.Module, folder: Path) -> Pictures:
        assert isinstance(module, AutoregressivePrior), "only an autoregressive prior draws samples"
        known = self.pipeline
        images = Pipeline(known.tokenizer, module, label_names=known.label_names, size=known.size).sample(self.count)
        pixels = grid(images, self.columns)
        save_png(folder / "grids" / f"samples-{step:06d}.png", pixels)
        return {"samples": pixels}
