"""All that the golden tests use of places that are not public: when modules move, this file is edited and no other one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from vqvae import config as configuration
from vqvae import storage
from vqvae.cli.main import main as command
from vqvae.data import CodesDataset, CodesHeader, CodesWriter
from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.evaluation.probes import ProbeConfig
from vqvae.evaluation.probes.speakers import SpeakerClassifierConfig
from vqvae.generation.sampling import sample_codes
from vqvae.layers.cepstra import CepstraConfig
from vqvae.models.base import Tokenizer
from vqvae.pipeline import Pipeline
from vqvae.priors.base import AutoregressivePrior, Prior
from vqvae.runs import stages
from vqvae.signals import AXES, Signal, sound
from vqvae.storage.card import renamed_in_version_2
from vqvae.training import JointConfig, RunOptions, TrainConfig, Trainer, build

DECODED_ONE_BY_ONE = ("chain named sample", "chain sample")
"""Draws whose last bits may differ from those of the release that wrote them: samples are decoded one by one now, so that none depends on
the others, and convolutions round by the shape of the batch. They are compared nearly."""

__all__ = [
    "DECODED_ONE_BY_ONE",
    "Batch",
    "CepstraConfig",
    "CodesDataset",
    "CodesHeader",
    "CodesWriter",
    "Condition",
    "Dataset",
    "Pipeline",
    "Prior",
    "SpeakerClassifierConfig",
    "Splits",
    "Tokenizer",
    "TrainConfig",
    "command",
    "draw",
    "load_part",
    "save_part",
    "settings_of",
    "train",
    "train_prior",
    "train_tokenizer",
]


def options(**changes: Any) -> RunOptions:
    """One thread of a CPU, with no checkpoints but the last one."""
    return RunOptions(**{"device": "cpu", "threads": 1, "checkpoint_every": 0, "log_every": 1, **changes})


def name_now(tensor: str) -> str:
    """What a tensor of a stored part is called now."""
    return renamed_in_version_2(tensor)


def signal_of(x: Tensor) -> Signal:
    """What the data of a golden run is."""
    if x.is_floating_point():
        return sound(16_000)
    return Signal(axes=AXES[x.ndim - 2], channels=x.shape[1], levels=256 if x.dtype == torch.uint8 else int(x.max()) + 1)


def load_part(folder: Path) -> nn.Module:
    """A stored part of any kind."""
    return storage.load(folder, [JointConfig, *get_args(ProbeConfig)])


def save_part(part: nn.Module, folder: Path) -> None:
    """Store a part that is not trained."""
    storage.save(part, folder)


def settings_of(training: Mapping[str, Any]) -> TrainConfig:
    """The settings of a training from what a stored part or a checkpoint says of it."""
    return configuration.from_json(TrainConfig, training)


def train(config: TrainConfig, splits: Splits, folder: Path, stage: str, **changes: Any) -> nn.Module:
    """Train to the end, from the last checkpoint where there is one; ``changes`` are options of the run."""
    return Trainer(build(config), splits, config, options(**changes), folder, stage).run()


def train_tokenizer(config: TrainConfig, run: Path, recipe: str) -> None:
    """The first stage of a run, with its codes."""
    stages.train_tokenizer(config, options(keep_last=1), run, recipe=recipe, scored=False)


def train_prior(config: TrainConfig, run: Path, *, scored: bool) -> None:
    """The second stage of a run."""
    stages.train_prior(config, options(keep_last=1), run, scored=scored)


def draw(prior: nn.Module, count: int, space: tuple[int, ...], label: Tensor | None, **choices: Any) -> Tensor:
    """Codes from a prior."""
    assert isinstance(prior, AutoregressivePrior)
    return sample_codes(prior, count, space, condition=Condition(label=label), **choices)


def objective(module: nn.Module, batch: Batch) -> dict[str, float]:
    """The loss and the metrics of a batch, in evaluation mode and with a noise of its own."""
    torch.manual_seed(0)
    with torch.no_grad():
        loss, metrics, _ = module.eval()(batch)
    return {"loss": float(loss), **{name: float(value) for name, value in metrics.items()}}
