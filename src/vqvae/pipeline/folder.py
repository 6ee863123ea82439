"""A run folder's finished parts, and the model that they make.

RUN/
  tokenizer/    config.json, weights.safetensors
  prior/        the same, where a prior was trained; prior-1/, ... of further levels of codes
  unigram/      the same, for the frequencies of the codes
"""

import dataclasses
import re
from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

import torch

from vqvae import storage
from vqvae.config import Parts
from vqvae.devices import pick_device
from vqvae.disk import exists
from vqvae.errors import CheckpointError, ConfigError
from vqvae.models import Tokenizer
from vqvae.pipeline.model import Pipeline
from vqvae.priors import AutoregressivePrior, Prior, UnigramPrior
from vqvae.signals import Signal
from vqvae.storage import RunCard

P = TypeVar("P", bound=Prior)
TOKENIZER, PRIOR, UNIGRAM = "tokenizer", "prior", "unigram"


def load(run: Path | str, device: torch.device | str = "cpu", parts: Parts = ()) -> Pipeline:
    """Load a run folder: its tokenizer and, where there are, its priors.

    Args:
        run: the folder.
        device: where the parts go; "auto" picks CUDA if there is one, else the CPU.
        parts: configurations of the caller's own that the run holds.

    Raises:
        CheckpointError: there is no finished tokenizer, or a part is damaged.
        ConfigError: there is no such device here.
    """
    run, device = Path(run).expanduser(), pick_device(device)
    card = about(run, parts)
    tokenizer = storage.load(run / TOKENIZER, parts)
    if not isinstance(tokenizer, Tokenizer):
        raise CheckpointError(f"{run / TOKENIZER} holds a {type(tokenizer).__name__}, which is not a tokenizer.")
    found = [_part(prior_folder(run, level), AutoregressivePrior, parts) for level in range(len(tokenizer.layout))]
    priors = [prior for prior in found if prior is not None]
    unigram = _part(run / UNIGRAM, UnigramPrior, parts)
    names = storage.read(prior_folder(run, 0), parts).card.label_names if priors and not tokenizer.speakers else card.label_names
    whole = priors if len(priors) == len(tokenizer.layout) else None
    return Pipeline(tokenizer, whole, unigram=unigram, card=card, signal=_signal(card, tokenizer), label_names=names).to(device)


def prior_folder(run: Path, level: int) -> Path:
    """Where the prior of a level of codes lies."""
    return run / (PRIOR if level == 0 else f"{PRIOR}-{level}")


def about(run: Path, parts: Parts = ()) -> RunCard:
    """What is kept with a run's tokenizer: the recipe, the data and its size, the names of labels, the settings of the training.

    Raises:
        CheckpointError: there is no finished tokenizer.
    """
    if not exists(run / TOKENIZER):
        reason = "its tokenizer is not trained to the end" if (run / "checkpoints").is_dir() else "there is no trained tokenizer"
        raise CheckpointError(f"{run} cannot be used: {reason} ({run / TOKENIZER} is missing). Train one: vqvae train RECIPE --out {run}")
    return storage.read(run / TOKENIZER, parts).card


def save(pipeline: Pipeline, run: Path | str) -> None:
    """Save the parts of a pipeline and its card as a run folder that ``load`` reads. Parts that are there are replaced.

    Raises:
        CheckpointError: the folder cannot be written.
        ConfigError: a part could not be built again from what would be stored, or the folder holds other things, or a prior of another
            tokenizer. Nothing has changed then.
    """
    run = Path(run).expanduser()
    named = [(run / TOKENIZER, pipeline.tokenizer), (run / UNIGRAM, pipeline.unigram)]
    named += [(prior_folder(run, level), prior) for level, prior in enumerate(pipeline.priors)]
    _check_place(run, [folder.name for folder, part in named if part is not None])
    for folder, part in named:
        if part is not None:
            # The settings of the training are the tokenizer's.
            own = pipeline.card if folder.name == TOKENIZER else dataclasses.replace(pipeline.card, training=None, metrics={})
            storage.save(part, folder, own)


def _check_place(run: Path, names: Collection[str]) -> None:
    """Raise ConfigError where parts of these names would be mixed with things of others, or with a prior of another tokenizer."""
    there = {path.name for path in run.iterdir()} if run.is_dir() else set()
    if there and not storage.is_part(run / TOKENIZER):
        raise ConfigError(f"{run} holds {sorted(there)[:4]} and no run. Choose another folder: yours is not mixed with a run.")
    others = sorted(name for name in there - {*names} if re.fullmatch(rf"{UNIGRAM}|{PRIOR}(-\d+)?", name))
    if others:
        raise ConfigError(f"{run} holds {others}, which this pipeline has not: they are another tokenizer's. Choose another folder.")


def _signal(card: RunCard, tokenizer: Tokenizer) -> Signal:
    """The signal of a card where it is that of the tokenizer."""
    if card.signal is None or tokenizer.signal.fits(card.signal):
        return card.signal or tokenizer.signal
    raise CheckpointError(f"The card says that data is {card.signal}, and the tokenizer takes {tokenizer.signal}; the run is damaged.")


def _part(folder: Path, kind: type[P], parts: Parts) -> P | None:
    """A stored prior of a kind; None where there is none."""
    if not exists(folder):
        return None
    part = storage.load(folder, parts)
    if not isinstance(part, kind):
        raise CheckpointError(f"{folder} holds a {type(part).__name__}; a {kind.__name__} is expected there.")
    return part
