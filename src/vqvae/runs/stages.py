"""The stages of a run: tokenizer, codes, prior, scores. Each writes its results to the run folder."""

import dataclasses
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
from torch import nn

from vqvae import distributed
from vqvae.codes import Level
from vqvae.config import Parts
from vqvae.data.base import Dataset, Splits
from vqvae.data.clips import CodeClips
from vqvae.errors import ConfigError, DataError, VqvaeError
from vqvae.evaluation.kinds import kind_of
from vqvae.models import Tokenizer
from vqvae.pipeline import TOKENIZER, Pipeline, about, check_actions, load, prior_folder, tokenizer_digest
from vqvae.priors import MaskedPriorConfig, PixelCNNConfig, SamplingPrior
from vqvae.recipes import RECIPES, Recipe
from vqvae.runs.coder import train_coder
from vqvae.runs.defaults import check_level, prior_config
from vqvae.runs.encoding import read_codes, write_codes
from vqvae.runs.folder import put_aside_stale, read_metrics, recipe_of, record_seconds, stored_data, trained_seconds
from vqvae.runs.scores import evaluate
from vqvae.runs.tokenized import tokenized_codes
from vqvae.storage import RunCard
from vqvae.training import Callback, ReconstructionGrid, RunOptions, SampleGrid, TrainConfig, Trainer, build
from vqvae.training.checkpoint import check_run_folder, only_writer
from vqvae.training.interruption import Interrupted
from vqvae.training.machine import pick_device
from vqvae.words import say

AXES: dict[type, tuple[int, ...]] = {PixelCNNConfig: (2,), MaskedPriorConfig: (2, 3)}
"""The numbers of axes of codes that a kind of prior takes. Kinds that are not listed take any number."""


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
    """Train the tokenizer, write its codes, and score it.

    Args:
        config: the settings.
        options: settings that do not affect what is learned.
        run: the run folder.
        recipe: the name of the recipe; "" if there is none.
        scored: whether to score. False if a prior is trained next: then both are scored together.
        splits: the data. Default: built from ``config``.
        module: a model made of the caller's own modules; ``config.model`` is its configuration.
        parts: the caller's own configurations inside the model.

    Raises:
        VqvaeError: for wrong data or settings, an interruption, or a folder of another run.
    """
    check_run_folder(run)
    read_metrics(run)  # A damaged file is found now, not after the training.
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
    with distributed.group(trainer.device), _lock(run):
        trainer.run()
        if distributed.is_main():
            with distributed.alone(), _kept(run / TOKENIZER, run):
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
    name: str = "",
    scored: bool = True,
    splits: Splits | None = None,
    tokens: Path | None = None,
    parts: Parts = (),
) -> None:
    """Train a prior on the codes of a run, then score the run. If the run's data cannot be found, there are no scores.

    Args:
        config: the settings.
        options: settings that do not affect what is learned.
        run: the run folder.
        level: the level of codes to learn; the levels above are its condition.
        name: the prior's name, if the run has several.
        scored: whether to score.
        splits: the data to score. Default: that of the run's settings.
        tokens: a folder of ``vqvae tokenize`` to train on. Default: the training side of the run's codes.
        parts: the caller's own configurations in the run.

    Raises:
        ConfigError: if the prior does not fit the codes.
        VqvaeError: if there is no tokenizer, the codes are from another one, or training is interrupted.
    """
    about(run, parts)
    tokenizer_digest(run)  # Only a finished tokenizer has codes.
    read_metrics(run)
    stored = load(run, pick_device(options.device), parts)
    prior = build(config)
    check_prior(prior, stored.layout, level)
    codes = read_codes(run, level=level, parts=parts)
    if tokens is not None:
        codes = codes._replace(train=tokenized_codes(run, tokens, level=level, parts=parts))
    codes = in_clips(codes, prior)
    scored_on = _held_out(run, splits, parts) if scored else None
    kind = kind_of(stored.signal)
    callbacks: list[Callback] = []
    if kind.grid is not None and len(stored.layout) == 1:
        pipeline = Pipeline(stored.tokenizer, card=stored.card, label_names=codes.train.label_names)
        callbacks.append(SampleGrid(pipeline, kind.grid, every=config.evaluate_every))
    folder = prior_folder(run, level, name)
    stage = folder.relative_to(run).as_posix()
    card = RunCard(recipe=recipe_of(run, parts), signal=codes.train.signal, layout=(stored.layout[level],))
    trainer = Trainer(prior, codes, config, options, run, stage, callbacks, card)
    with distributed.group(trainer.device), _lock(run):
        if distributed.is_main():
            put_aside_stale(run, folder, level, parts)
        distributed.barrier()
        trainer.run()
        if distributed.is_main():
            with distributed.alone(), _kept(folder, run):
                record_seconds(run, **{stage: trained_seconds(run, stage)})
                if scored_on is not None:
                    evaluate(run, scored_on, options, parts, prior=name)


def train_both(
    config: TrainConfig, options: RunOptions, run: Path, *, recipe: str, prior_kind: type | None = None, prior_steps: int | None = None
) -> None:
    """Train the tokenizer and then the prior over its codes, score both, draw samples, and train the entropy coder. The data is read once.

    Args:
        config: the settings of the tokenizer. Both stages use its seed and share its minutes.
        options: settings that do not affect what is learned.
        run: the run folder.
        recipe: the name of the recipe, which also gives the settings of the prior.
        prior_kind: another class for the prior's configuration. Fields that it shares with the recipe's class keep their values.
        prior_steps: training steps of the prior. Default: those of the recipe.

    Raises:
        VqvaeError: for wrong data or settings, an interruption, or a folder of another run.
    """
    if config.data is None:
        raise ConfigError("A tokenizer needs data, but config.data is null.")
    check_run_folder(run)
    began = time.perf_counter()
    splits, minutes = config.data.build(), config.minutes
    share = RECIPES[recipe].tokenizer_share if recipe in RECIPES else Recipe.tokenizer_share
    seconds = time.perf_counter() - began
    axes = splits.train.signal.axes
    if prior_kind is not None and len(axes) not in AXES.get(prior_kind, (len(axes),)):
        wanted = " or ".join(map(str, AXES[prior_kind]))
        raise ConfigError(f"A {prior_kind.__name__} needs codes with {wanted} axes; the data has {len(axes)}. Choose the prior 'wavenet'.")
    first = config if minutes is None else dataclasses.replace(config, minutes=minutes * share)
    train_tokenizer(first, options, run, recipe=recipe, scored=False, splits=splits)
    if distributed.is_main():
        record_seconds(run, data=seconds)
    second = dataclasses.replace(prior_config(run), seed=config.seed)
    if prior_kind is not None:
        names = [field.name for field in dataclasses.fields(prior_kind) if hasattr(second.model, field.name)]
        second = dataclasses.replace(second, model=prior_kind(**{name: getattr(second.model, name) for name in names}))
    if prior_steps is not None:
        second = dataclasses.replace(second, steps=prior_steps)
    if minutes is not None:
        second = dataclasses.replace(second, minutes=minutes * (1 - share))
    train_prior(second, options, run, splits=splits)
    if distributed.is_main():
        train_coder(run)


def in_clips(codes: Splits, prior: nn.Module) -> Splits:
    """Windows of the codes, for a prior that is trained on clips."""
    length = getattr(prior, "clip_length", 0)
    return Splits(*(CodeClips(side, length) for side in codes)) if length else codes


def check_prior(prior: nn.Module, layout: Sequence[Level], level: int) -> None:
    """Raise ConfigError, before training, unless a module is a prior of these codes."""
    if not isinstance(prior, SamplingPrior):
        raise ConfigError(f"The second stage trains a prior that can draw codes, but config.model builds a {type(prior).__name__}.")
    check_level(layout, level)
    wanted = layout[level]
    if (prior.num_codebooks, prior.codebook_size) != (wanted.num_codebooks, wanted.codebook_size):
        raise ConfigError(
            f"config.model is a prior of {prior.num_codebooks} codebooks of {prior.codebook_size} codes; the tokenizer has "
            f"{wanted.num_codebooks} of {wanted.codebook_size}. Omit model.num_codebooks and model.codebook_size: they follow from the run."
        )
    check_actions(prior, wanted)


def _held_out(run: Path, splits: Splits | None, parts: Parts) -> Dataset | None:
    """The data to score after training, found before it starts. None, with a message, if it is gone."""
    if splits is not None:
        return splits.held_out
    try:
        return stored_data(run, parts=parts).held_out
    except DataError as error:
        say(f"There will be no scores, because the data cannot be read: {error} Give its place: --data FOLDER (data= in Python).")
        return None


@contextmanager
def _lock(run: Path) -> Iterator[None]:
    """Hold the lock of the run."""
    with only_writer(run) if distributed.is_main() else nullcontext():
        yield


@contextmanager
def _kept(part: Path, run: Path) -> Iterator[None]:
    """If codes or scores fail after training, say what is saved and how to make the rest."""
    try:
        yield
    except Interrupted:
        raise
    except (VqvaeError, OSError, RuntimeError) as error:
        raise VqvaeError(
            f"{part} is trained and saved, but the next step failed: {error} Run the same command again, or score the run with: "
            f"vqvae evaluate {run}"
        ) from error


def train_part(config: TrainConfig, splits: Splits, options: RunOptions, folder: Path, stage: str, *, recipe: str) -> nn.Module:
    """Train one model as ``folder/stage``, or load it if it is finished. Writes no codes, scores or pictures.

    Raises:
        VqvaeError: for an interruption, or a folder of another training.
    """
    return Trainer(build(config), splits, config, options, folder, stage, (), RunCard(recipe=recipe)).run()


def check_signal(module: Tokenizer, splits: Splits) -> None:
    """Raise ConfigError, before training, unless the model takes this data."""
    for side, dataset in zip(Splits._fields, splits, strict=True):
        if not module.signal.fits(dataset.signal):
            raise ConfigError(
                f"The {side.replace('_', '-')} data is {dataset.signal.values()}, {dataset.signal.shape()}; the model takes "
                f"{module.signal.values()}, {module.signal.shape()}. Choose a likelihood and an encoder that fit the data."
            )
