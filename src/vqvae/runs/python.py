"""What the commands do, from Python: train a tokenizer, train its prior, score both."""

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from vqvae.config import Parts, kinds
from vqvae.data.base import Splits
from vqvae.data.own import splits_of
from vqvae.disk import user_path
from vqvae.errors import ConfigError, DataError
from vqvae.pipeline import Pipeline, about, load
from vqvae.progress import showing
from vqvae.runs.defaults import prior_config
from vqvae.runs.encoding import ensure_codes
from vqvae.runs.folder import found_data, stored_config, stored_data
from vqvae.runs.scores import evaluate as evaluate_run
from vqvae.runs.sharing import own_copy
from vqvae.runs.stages import train_prior as train_prior_stage
from vqvae.runs.stages import train_tokenizer
from vqvae.signals import Signal
from vqvae.storage import check_rebuilt, check_storable
from vqvae.training import AdamConfig, RunOptions, TrainConfig
from vqvae.training.checkpoint import check_run_folder
from vqvae.training.machine import pick_device
from vqvae.training.trainer import START_BATCHES


@showing()
def train(
    model: Any,
    data: Any,
    out: Path | str,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    batch_size: int = 32,
    held_out: Any = None,
    signal: Signal | None = None,
    optimizer: AdamConfig = AdamConfig(),
    seed: int = 0,
    options: RunOptions = RunOptions(),
    scored: bool = True,
    **settings: Any,
) -> Pipeline:
    """Train a tokenizer, encode its data, and score it, as ``vqvae train`` does. After a stop, the same call continues.

    Args:
        model: a configuration such as ``VQVAEConfig``, or a model made of your own modules.
        data: settings, arrays, or your own data sets; see ``vqvae.data.own.splits_of``.
        out: the run folder.
        steps: training steps.
        minutes: minutes of training, instead of ``steps``. A short measurement sets the steps, which the run stores.
        batch_size: examples per step.
        held_out: the held-out data. Default: a twentieth of ``data``.
        signal: describes the arrays or items. Default: derived from them.
        optimizer: the settings of Adam.
        seed: seed of the initial weights, the order of the data and all noise.
        options: settings that do not affect what is learned.
        scored: whether to write scores and a report.
        settings: further fields of ``TrainConfig``.

    Returns:
        The trained model, as ``vqvae.load(out)`` gives it.

    Raises:
        ConfigError: if settings or parts do not fit each other or the data, or cannot be stored. Nothing is trained then.
        VqvaeError: for wrong data, an interruption, or a folder of another run.
    """
    module = model if isinstance(model, nn.Module) else None
    if module is not None:
        check_storable(module)
        check_rebuilt(module)
    elif not dataclasses.is_dataclass(model):
        raise ConfigError(f"model is of type {type(model).__name__}; give a configuration, such as VQVAEConfig, or a module.")
    if (steps is None) == (minutes is None):
        raise ConfigError(f"steps is {steps} and minutes is {minutes}; give one of the two.")
    config = model if module is None else module.config
    known = data if hasattr(data, "build") and dataclasses.is_dataclass(data) else None
    shared: dict[str, Any] = {"batch_size": batch_size, "seed": seed, "optimizer": optimizer, **settings}
    # With minutes, a measurement replaces these steps.
    training = TrainConfig(model=config, data=known, steps=steps or START_BATCHES, minutes=minutes, **shared)
    parts, run = kinds(config), user_path(out)
    check_run_folder(run)
    splits = splits_of(data, held_out=held_out, signal=signal)
    train_tokenizer(training, options, run, recipe="", scored=scored, splits=splits, module=module, parts=parts)
    return load(run, pick_device(options.device), parts)


@showing()
def train_prior(
    run: Path | str,
    model: Any = None,
    *,
    name: str = "",
    level: int = 0,
    data: Any = None,
    held_out: Any = None,
    tokens: Path | str | None = None,
    options: RunOptions = RunOptions(),
    scored: bool = True,
    parts: Parts = (),
    **settings: Any,
) -> Pipeline:
    """Train a prior over the codes of a run and score the run, as ``vqvae train-prior`` does. After a stop, the same call continues.

    Args:
        run: the run folder.
        model: the configuration of the prior, or a ``TrainConfig`` with all settings. Default: those of the run's recipe.
        name: the name of the prior, if the run gets several. ``vqvae.load(run, prior=NAME)`` loads it.
        level: the level of codes, if there are several.
        data: the data to score, if the run was trained on an object; or the path of the run's data, if it moved.
        held_out: as in ``train``.
        tokens: a folder of ``vqvae tokenize`` to train on. Default: the training side of the run's codes.
        options: settings that do not affect what is learned.
        scored: whether to write scores and a report, which needs the data.
        parts: your own configurations in the run.
        settings: fields of ``TrainConfig`` that replace those of the recipe: ``steps``, ``batch_size``, ``optimizer``, ...

    Returns:
        The run with this prior, as ``vqvae.load(run, prior=name)`` gives it.

    Raises:
        ConfigError: if settings do not fit the codes.
        VqvaeError: if there is no tokenizer, the codes are from another one, or training is interrupted.
    """
    run = own_copy(run)
    if data is None or isinstance(data, str | Path):
        ensure_codes(run, None if data is None else str(data), options, parts)
    if isinstance(model, TrainConfig):
        training = dataclasses.replace(model, **settings)
    else:
        chosen = {} if model is None else {"model": model}
        training = dataclasses.replace(prior_config(run, level, parts), **chosen, **settings)
    splits = found_data(run, str(data), parts) if isinstance(data, str | Path) else _given(run, data, held_out, parts)
    if scored and splits is None and stored_config(run, parts=parts).data is None:
        raise ConfigError(
            f"{run} was trained on an object from Python, which the run does not store. Pass the data again: "
            "vqvae.train_prior(run, data=...). Or train without scores: scored=False."
        )
    parts = (*parts, *kinds(training.model))
    place = None if tokens is None else user_path(tokens, DataError)
    train_prior_stage(training, options, run, level=level, name=name, scored=scored, splits=splits, tokens=place, parts=parts)
    return load(run, pick_device(options.device), parts, prior=name)


@showing()
def evaluate(
    run: Path | str,
    data: Any = None,
    *,
    held_out: Any = None,
    prior: str | None = None,
    options: RunOptions = RunOptions(),
    parts: Parts = (),
) -> dict[str, Any]:
    """Score a run on held-out data, and write metrics.json, pictures and the report, as ``vqvae evaluate`` does.

    Args:
        run: the run folder.
        data: as in ``train``; its held-out side is scored. Default: the data of the run.
        held_out: the data to score, if ``data`` has no held-out side.
        prior: the name of the prior; its scores go to ``RUN/scores/NAME``. Default: as in ``vqvae.load``.
        options: device and threads.
        parts: your own configurations in the run.

    Returns:
        The scores by name, as in metrics.json.

    Raises:
        CheckpointError: if another process trains in the run folder, or the run does not store its data.
        ConfigError: if the data is of another kind than the run's.
        VqvaeError: if the data cannot be read.
    """
    run = own_copy(run)
    if isinstance(data, str | Path):
        splits = stored_data(run, str(data), parts)
    else:
        splits = _given(run, data, held_out, parts) or stored_data(run, parts=parts)
    return evaluate_run(run, splits.held_out, options, parts, prior=prior)


def _given(run: Path, data: Any, held_out: Any, parts: Parts) -> Splits | None:
    """The data to score, if the caller gives any. The signal of the run describes arrays and items."""
    if data is None and held_out is None:
        return None
    card = about(run, parts)
    itself = isinstance(data, Splits) or hasattr(data, "build")
    if data is None:
        # Only the held-out side is scored.
        data = held_out
    splits = splits_of(data, held_out=held_out, signal=None if itself else card.signal)
    if card.signal is not None and not card.signal.fits(splits.held_out.signal):
        raise ConfigError(f"The run takes {card.signal}, but the data is {splits.held_out.signal}. Give data of the same kind.")
    return splits
