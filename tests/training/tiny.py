"""A VQ-VAE, data and settings that train in a fraction of a second; ``python -m tests.training.tiny RUN`` trains them."""

import sys
from pathlib import Path

import numpy as np
import torch

from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.signals import pictures
from vqvae.training import AdamConfig, RunOptions, TrainConfig, Trainer, build


class Noise(Dataset):
    """Random images with labels."""

    name = "noise"
    signal = pictures()
    label_names = ("even", "odd")

    def __init__(self, size: int, seed: int) -> None:
        self.x = torch.randint(0, 256, (size, 3, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: np.ndarray) -> Batch:
        rows = torch.from_numpy(indices)
        return Batch(self.x[rows], Condition(label=rows % 2))


def model(revive_after: int = 3, codebook_size: int = 8, dim: int = 4) -> VQVAEConfig:
    """A model that draws random numbers while it trains: it revives codes."""
    return VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=dim, codebook_size=codebook_size, revive_after=revive_after),
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(widths=(8,), residual_blocks=1, residual_hidden=4),
        decoder=ImageDecoderConfig(widths=(8,), residual_blocks=1, residual_hidden=4),
    )


def settings(**changes: object) -> TrainConfig:
    """Settings of a run of 12 steps, with everything switched on that a checkpoint must carry."""
    optimizer = AdamConfig(learning_rate=1e-2, warmup_steps=3, schedule="cosine", clip_norm=1.0, weight_decay=0.01)
    defaults = {"model": model(), "steps": 12, "batch_size": 8, "optimizer": optimizer, "evaluate_every": 4}
    return TrainConfig(**{**defaults, "average_decay": 0.9, "precision": "float32", **changes})


def splits(train: Dataset | None = None, held_out: Dataset | None = None) -> Splits:
    """44 examples to train on (an epoch is no whole number of batches) and 20 held out."""
    return Splits(train or Noise(44, 0), held_out or Noise(20, 1))


def trainer(folder: Path, config: TrainConfig, data: Splits | None = None, **changes: object) -> Trainer:
    """A trainer on one thread; ``changes`` are options of the run, callbacks, a stage, a card, or a module in the place of the model."""
    module = changes.pop("module", None)
    others = {name: changes.pop(name) for name in ("callbacks", "stage", "card") if name in changes}
    options = RunOptions(**{"checkpoint_every": 5, "log_every": 2, "device": "cpu", "threads": 1, "estimate": False, **changes})
    return Trainer(module or build(config), data or splits(), config, options, folder, **others)


def contents(folder: Path) -> dict[str, bytes]:
    """All tensors of a run: its part and its last checkpoint, byte for byte."""
    paths = [*folder.glob("tokenizer/*.safetensors"), *max(folder.glob("checkpoints/step-*")).glob("*.safetensors")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


if __name__ == "__main__":
    # Two processes revive other rows than one: the draws are functions of the rank.
    trainer(Path(sys.argv[1]), settings(model=model(revive_after=0))).run()
