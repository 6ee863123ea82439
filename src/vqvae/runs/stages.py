"""The stages of a run, each of which leaves its results in the run folder: tokenizer, codes, prior, scores."""

import time
from pathlib import Path

import numpy as np
from torch import nn

from vqvae import distributed
from vqvae.config import Parts
from vqvae.data.base import Splits
from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import kind_of
from vqvae.models import Tokenizer
from vqvae.pipeline import TOKENIZER, Pipeline, load, prior_folder
from vqvae.priors import AutoregressivePrior
from vqvae.recipes import RECIPES
from vqvae.runs.encoding import read_codes, write_codes
from vqvae.runs.folder import recipe_of, record_seconds, stored_data, trained_seconds
from vqvae.runs.scores import evaluate
from vqvae.storage import RunCard
from vqvae.training import Callback, ReconstructionGrid, RunOptions, SampleGrid, TrainConfig, Trainer, build
from vqvae.training.checkpoint import check_run_folder
from vqvae.training.machine import pick_device

FALLBACK = {1: "speech-demo", 2: "images", 3: "speech-demo"}
"""The recipe whose prior is taken for codes of so many axes where the run's own recipe is none of ours."""


def train_tokenizer(
    config: TrainConfig,
    options: RunOptions,
    run: Path,
    *,
    recipe: str,
    scored: bool = True,
    splits: Splits | None = None,
    module: nn.Module | None = None,
    parts: Parts = (),
) -> None:
    """Train the first stage, then write its codes and score it, unless the second stage follows at once and scores both.

    Args:
        recipe: the name of the settings.
        scored: whether scores follow.
        splits: the data, where it is no data of ``config``.
        module: the model, where it is made of modules of one's own; ``config.model`` is its configuration.
        parts: configurations of the caller's own inside the model.

    Raises:
        VqvaeError: wrong data or settings, an interruption, a folder of another run.
    """
    check_run_folder(run)
    module = build(config) if module is None else module
    if not isinstance(module, Tokenizer):
        raise ConfigError(f"The first stage trains a tokenizer, a model with codes, but config.model builds a {type(module).__name__}.")
    began = time.perf_counter()
    if splits is None:
        if config.data is None:
            raise ConfigError("A tokenizer is trained on data, but config.data is null.")
        splits = config.data.build()
    seconds = time.perf_counter() - began
    check_signal(module, splits)
    kind = kind_of(splits.train.signal)
    callbacks: list[Callback] = []
    if kind.pairs is not None:
        callbacks.append(ReconstructionGrid(splits.held_out, kind.pairs, every=config.evaluate_every))
    size = tuple(splits.held_out.batch(np.arange(1)).x.shape[2:])
    card = RunCard(recipe=recipe, size=size, layout=tuple(module.layout), signal=splits.train.signal)
    trainer = Trainer(module, splits, config, options, run, TOKENIZER, callbacks, card)
    with distributed.group(trainer.device):
        trainer.run()
        if distributed.is_main():
            with distributed.alone():
                record_seconds(run, data=seconds, tokenizer=trained_seconds(run, TOKENIZER))
                write_codes(run, splits, options, parts)
                if scored:
                    evaluate(run, splits.held_out, options, parts)


def train_prior(
    config: TrainConfig,
    options: RunOptions,
    run: Path,
    *,
    level: int = 0,
    scored: bool = True,
    splits: Splits | None = None,
    parts: Parts = (),
) -> None:
    """Train the second stage on the codes of a run, then score both, unless the caller does.

    Args:
        level: whose codes it learns; the levels above are its condition.
        scored: whether scores follow.
        splits: the data that is scored, where it is no data of the run's settings.
        parts: configurations of the caller's own that the run holds.

    Raises:
        VqvaeError: there is no tokenizer, or the codes are those of another one; an interruption.
    """
    prior = build(config)
    if not isinstance(prior, AutoregressivePrior):
        raise ConfigError(f"The second stage trains an autoregressive prior, but config.model builds a {type(prior).__name__}.")
    codes = read_codes(run, level=level, parts=parts)
    stored = load(run, pick_device(options.device), parts)
    kind = kind_of(stored.signal)
    callbacks: list[Callback] = []
    if kind.grid is not None and len(stored.layout) == 1:
        pipeline = Pipeline(stored.tokenizer, card=stored.card, label_names=codes.train.label_names)
        callbacks.append(SampleGrid(pipeline, kind.grid, every=config.evaluate_every))
    stage = prior_folder(run, level).name
    card = RunCard(recipe=recipe_of(run, parts), signal=codes.train.signal, layout=(stored.layout[level],))
    trainer = Trainer(prior, codes, config, options, run, stage, callbacks, card)
    with distributed.group(trainer.device):
        trainer.run()
        if distributed.is_main():
            with distributed.alone():
                record_seconds(run, **{stage: trained_seconds(run, stage)})
                if scored:
                    evaluate(run, (splits or stored_data(run, parts=parts)).held_out, options, parts)


def train_part(config: TrainConfig, splits: Splits, options: RunOptions, folder: Path, stage: str, *, recipe: str) -> nn.Module:
    """Train any one model to the end as ``folder/stage``, or load it where it is; no codes, no scores, no pictures.

    Raises:
        VqvaeError: an interruption, or a folder of another training.
    """
    return Trainer(build(config), splits, config, options, folder, stage, (), RunCard(recipe=recipe)).run()


def prior_config(run: Path, level: int = 0, parts: Parts = ()) -> TrainConfig:
    """The second stage's settings by the recipe of the run's tokenizer; where that has none, by the number of axes of its codes."""
    layout = load(run, parts=parts).layout
    if not 0 <= level < len(layout):
        raise ConfigError(f"level is {level}; {run} has {len(layout)}, and the first is 0.")
    recipe = RECIPES.get(recipe_of(run, parts)) or RECIPES[FALLBACK.get(len(layout[level].stride), FALLBACK[3])]
    train = read_codes(run, level=level, parts=parts).train
    config = recipe.prior(layout[level], len(train.label_names))
    return config if recipe.sized is None else recipe.sized(config, len(train) * train.batch(np.arange(1)).x[0].numel())


def check_signal(module: Tokenizer, splits: Splits) -> None:
    """Raise ConfigError unless the data is what the model takes: before the training, not in its first batch."""
    for side, dataset in zip(Splits._fields, splits, strict=True):
        if not module.signal.fits(dataset.signal):
            raise ConfigError(
                f"The {side.replace('_', '-')} data is {dataset.signal.values()}, {dataset.signal.shape()}; the model takes "
                f"{module.signal.values()}, {module.signal.shape()}. Choose a likelihood and an encoder that fit the data."
            )
