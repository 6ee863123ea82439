"""The checks of settings, steps and data before a run resumes, and the weights that a run starts from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vqvae import config as configuration
from vqvae import distributed, storage
from vqvae.config import Parts
from vqvae.data.base import Splits
from vqvae.data.cache import user_path
from vqvae.errors import ConfigError
from vqvae.models.frames import FrameTokenizer
from vqvae.pipeline import local_run, part_of
from vqvae.storage import RunCard
from vqvae.storage.hub import is_address
from vqvae.training.settings import TrainConfig
from vqvae.words import say

QUANTIZER = "quantizer"
"""The name of a tokenizer's quantizer among its parts."""


def check_same(stored: RunCard, config: TrainConfig, splits: Splits, where: Path, parts: Parts) -> None:
    """Check that ``where`` was trained with the same settings, on the same data. Settings that do not affect the result may differ.

    Raises:
        ConfigError: if they differ. The message lists each difference.
    """
    trained = stored.training
    if trained is None:
        raise ConfigError(f"{where} has no training settings, so its training cannot continue. Choose another folder.")
    lines = _settings(dict(trained), config, parts)
    data = _data(stored, splits)
    if lines:
        listed = "\n  ".join([*lines, *data])
        raise ConfigError(f"{where} was trained with other settings:\n  {listed}\nUse the same settings, or another folder.")
    if data:
        listed = "\n  ".join(data)
        raise ConfigError(
            f"{where} was trained on other data:\n  {listed}\n"
            "Give the data of the run. To continue from its weights on this data, start a new run with --from (start_from in settings)."
        )


def check_steps(trained: Mapping[str, Any], done: int, steps: int, where: Path) -> None:
    """Check that a run with ``done`` steps, planned for ``trained["steps"]``, can end after ``steps``.

    Raises:
        ConfigError: if the run is already beyond ``steps``.
    """
    if steps != trained.get("steps") and steps < done:
        raise ConfigError(f"{where} has already taken {done} steps, and steps is {steps}. Give at least {done}, or another folder.")


def more_steps(config: TrainConfig, trained: Mapping[str, Any], done: int) -> str:
    """A sentence for the user if the planned number of steps has changed."""
    schedule = config.optimizer.schedule
    if schedule == "constant":
        rate = "The learning rate stays the same."
    else:
        rate = f"The {schedule} schedule is stretched over all {config.steps:,} steps, so the learning rate changes from here on."
    planned = f" instead of the planned {trained['steps']:,}" if isinstance(trained.get("steps"), int) else ""
    return f"{done:,} steps are done. Training goes on to {config.steps:,}{planned}. {rate}"


def _settings(trained: dict[str, Any], config: TrainConfig, parts: Parts) -> list[str]:
    """Differences that change what is learned, one line each."""
    try:
        old: TrainConfig | None = configuration.from_json(TrainConfig, trained, parts=parts)
    except ConfigError:
        old = None  # Written by another release: only the text can be compared.
    before, now = trained if old is None else configuration.essence(old), configuration.essence(config)
    apart = {"steps", "start_from"}
    if before.get("data") is None or config.data is None:
        apart.add("data")  # Data that is passed as an object has no settings; its name identifies it.
    names = [name for name in now if name in before and name not in apart]
    lines = configuration.differences({name: before[name] for name in names}, {name: now[name] for name in names})
    if old is not None and _place(old.start_from) != _place(config.start_from):
        lines.append(f"config.start_from: {old.start_from!r} -> {config.start_from!r}")
    return lines


def _place(path: str | None) -> Path | None:
    if path is None:
        return None
    return Path(path) if is_address(path) else user_path(path).resolve()


def _data(stored: RunCard, splits: Splits) -> list[str]:
    """The sides whose data differs from the run's, one line each. Names depend on the content, not on the path."""
    if not stored.library:
        return []  # Cards of version 1 have names of another form.
    sides = (("training", stored.data, splits.train.name), ("held-out", stored.held_out_data, splits.held_out.name))
    return [f"{side} data: {before} -> {now}" for side, before, now in sides if before and before != now]


def start_from(run: str, module: nn.Module, stage: str, parts: Parts) -> None:
    """Copy the weights of the same stage of another run, or of a model on the Hub. A tokenizer of frames can start from a tokenizer of
    pictures. A tokenizer can start from one with other codebooks: its own then start anew, and the rest is copied.

    Raises:
        CheckpointError: if there are none, or they do not fit the module.
        HubError: if the model on the Hub does not exist or cannot be reached.
    """
    folder = local_run(run)
    source = part_of(folder, folder / stage) or folder / stage
    other = storage.load(source, parts)
    takes_pictures = isinstance(module, FrameTokenizer) and not isinstance(other, FrameTokenizer)
    module = module.model if takes_pictures else module
    tensors, own = other.state_dict(), _codebooks(module.state_dict())
    others = _codebooks(tensors)
    if own and others and _shapes(own) != _shapes(others):
        if distributed.is_main():
            say(f"The codebooks of {run} have other sizes, so new ones start from the data. All other weights are copied.")
        tensors = {name: value for name, value in tensors.items() if name not in others} | own
    storage.restore(module, tensors, source / storage.WEIGHTS)


def _codebooks(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a tokenizer's quantizer. A prior has none."""
    return {name: tensor for name, tensor in tensors.items() if QUANTIZER in name.split(".")[:-1]}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}
