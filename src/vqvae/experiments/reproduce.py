"""The paper's experiments in stages, with published numbers beside ours. Every stage resumes where it stopped."""

import dataclasses
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from vqvae import distributed
from vqvae.bits import bits_per_code
from vqvae.codes import Level, only_level
from vqvae.data import in_order
from vqvae.disk import check_outputs, explained
from vqvae.errors import ConfigError
from vqvae.experiments import comparison, imagination
from vqvae.experiments.ablations import reproduce_ablations
from vqvae.experiments.base import Job, Scale
from vqvae.experiments.collapse import reproduce_collapse
from vqvae.experiments.comparison import reproduce_comparison
from vqvae.experiments.conversion import reproduce_conversion, reproduce_voices
from vqvae.experiments.phones import reproduce_phones, reproduce_speech
from vqvae.experiments.tables import PICTURES, tabulate
from vqvae.models import Tokenizer
from vqvae.pipeline import load
from vqvae.priors import PixelCNNConfig, SamplingPrior
from vqvae.recipes import imagenet, speech, worlds
from vqvae.reports.results import is_record
from vqvae.runs.encoding import read_codes
from vqvae.runs.folder import recipe_of
from vqvae.runs.stages import train_part, train_prior, train_tokenizer
from vqvae.training import RunOptions, TrainConfig
from vqvae.training.checkpoint import check_run_folder
from vqvae.training.machine import pick_device

WITHOUT_CLASS = "prior-without-class"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of both stages of a run. Experiments that share a run share its folder."""

    run: str
    tokenizer: Callable[[str | None], TrainConfig]
    prior: Callable[[Level, int], TrainConfig]


SETTINGS: dict[str, dict[Scale, Settings]] = {
    "comparison": {
        "cpu": Settings(run="e1-cpu", tokenizer=partial(comparison.tokenizer, "cpu"), prior=partial(comparison.prior, "cpu")),
        "paper": Settings(run="e1", tokenizer=partial(comparison.tokenizer, "paper"), prior=partial(comparison.prior, "paper")),
    },
    "imagenet128": {
        "cpu": Settings(run="imagenet128-cpu", tokenizer=imagenet.cpu_tokenizer, prior=imagenet.cpu_prior),
        "paper": Settings(run="imagenet128", tokenizer=imagenet.tokenizer, prior=imagenet.prior),
    },
    "voices": {
        "cpu": Settings(run="voices", tokenizer=speech.voices_tokenizer, prior=speech.demo_prior),
        "paper": Settings(run="vctk", tokenizer=speech.vctk_tokenizer, prior=speech.long_prior),
    },
    "librispeech128": {
        "cpu": Settings(run="librispeech-cpu", tokenizer=speech.librispeech_cpu_tokenizer, prior=speech.demo_prior),
        "paper": Settings(run="librispeech", tokenizer=speech.librispeech_tokenizer, prior=speech.long_prior),
    },
    "phonemes25hz": {
        "cpu": Settings(run="phonemes", tokenizer=speech.phonemes_tokenizer, prior=speech.phonemes_prior),
        "paper": Settings(run="phonemes-paper", tokenizer=speech.paper_phonemes_tokenizer, prior=speech.phonemes_prior),
    },
    "worlds": {
        "cpu": Settings(run="demo", tokenizer=worlds.demo_tokenizer, prior=worlds.demo_prior),
        "paper": Settings(run="worlds", tokenizer=worlds.tokenizer, prior=worlds.prior),
    },
}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One of the paper's experiments, with its published numbers."""

    title: str
    settings: str | None = None
    """A key of ``SETTINGS``; None if ``after`` does all training, in a run folder with the experiment's name."""
    stages: int = 0
    """The stages to train. 1: the tokenizer. 2: also the prior."""
    published: dict[str, str] = field(default_factory=dict)
    """The paper's numbers, by the names of our measures."""
    run: str = ""
    """The name of the run folder, if it differs from those of the settings and of the experiment."""
    after: Callable[[Job], dict[str, Any]] | None = None
    """A function that replaces the table of the run and returns the record."""


EXPERIMENTS = {
    "e1": Experiment(
        title="E1: bits per dimension of CIFAR-10 for models of one architecture [VQVAE §4.1]",
        settings="comparison",
        stages=2,
        after=reproduce_comparison,
    ),
    "e2": Experiment(
        title="E2: reconstructions of 128×128 photographs from 32×32 codes [VQVAE §4.2]",
        settings="imagenet128",
        stages=1,
        published={"times_fewer_bits": "42.6"},
    ),
    "e3": Experiment(
        title="E3: a class-conditional PixelCNN over the codes of 128×128 photographs [VQVAE §4.2]",
        settings="imagenet128",
        stages=2,
        published={"times_fewer_bits": "42.6"},
    ),
    "e4": Experiment(
        title="E4: 84×84 frames of a three-dimensional world, and samples from their prior [VQVAE §4.2]",
        settings="worlds",
        stages=2,
    ),
    "e5": Experiment(
        title="E5: latents under a PixelCNN decoder, used by a VQ-VAE and ignored by a VAE [VQVAE §4.2]",
        settings="worlds",
        stages=1,
        after=reproduce_collapse,
    ),
    "e6": Experiment(
        title="E6: speech as 250 codes a second, and back by two decoders [VQVAE §4.3]",
        settings="voices",
        stages=2,
        after=reproduce_voices,
    ),
    "e7": Experiment(
        title="E7: the words of one speaker in the voice of another [VQVAE §4.3]",
        settings="voices",
        stages=2,
        after=reproduce_conversion,
    ),
    "e8": Experiment(
        title="E8: unconditional speech from 125 codes a second, scored on unseen speakers [VQVAE §4.3]",
        settings="librispeech128",
        stages=2,
        after=reproduce_speech,
    ),
    "e9": Experiment(
        title="E9: phones predicted from single codes, 128 codes at 25 per second, learned without labels [VQVAE §4.3]",
        settings="phonemes25hz",
        stages=1,
        after=reproduce_phones,
    ),
    "e10": Experiment(
        title="E10: a world imagined from actions, purely in codes, and scored against the engine [VQVAE §4.4]",
        run=imagination.WORLDS,
        after=imagination.reproduce_imagination,
    ),
    "e11": Experiment(title="E11: ablations of a VQ-VAE, one setting changed at a time [VQVAE §3.2, §4.1]", after=reproduce_ablations),
}


def reproduce(name: str, scale: Scale, *, data: str | None, results: Path, runs: Path, options: RunOptions) -> dict[str, Any]:
    """Train the missing parts of an experiment, score them, and write ``results/NAME.md`` and ``NAME.json`` with pictures.

    Raises:
        ConfigError: if there is no such experiment, or it needs data.
        VqvaeError: if a stage fails. The same call resumes.
    """
    if name not in EXPERIMENTS:
        raise ConfigError(f"There is no experiment {name!r}. Choose one of {', '.join(EXPERIMENTS)}.")
    if distributed.started() > 1:
        raise ConfigError("Experiments run as one process, but torchrun has started several. Start 'vqvae reproduce' without torchrun.")
    experiment = EXPERIMENTS[name]
    written = name if scale == "cpu" else f"{name}-{scale}"
    check_writable(results, written)
    settings = SETTINGS[experiment.settings][scale] if experiment.settings else None
    run = runs / (settings.run if settings else experiment.run or (f"{name}-cpu" if scale == "cpu" else name))
    check_run_folder(run)
    job = Job(run=run, scale=scale, data=data, options=options, results=results, name=written, title=experiment.title)
    extra: dict[str, Any] = {}
    if settings:
        train_tokenizer(settings.tokenizer(data), options, run, recipe=str(experiment.settings), scored=experiment.stages == 1)
        if experiment.stages > 1:
            config = settings.prior(only_level(load(run).tokenizer.layout), len(read_codes(run).train.label_names))
            train_prior(config, options, run, scored=experiment.after is None)
            extra |= compare_without_class(config, options, run)
    if experiment.after is not None:
        return experiment.after(job)
    extra = {"times_fewer_bits": times_fewer_bits(load(run).tokenizer), **extra}
    pictures = PICTURES[: experiment.stages]
    return tabulate(run, results, written, experiment.title, published=experiment.published, extra=extra, pictures=pictures)


def times_fewer_bits(tokenizer: Tokenizer) -> float:
    """Bits of the pixels divided by bits of their codes, both uncompressed."""
    level = only_level(tokenizer.layout)
    return tokenizer.signal.channels * math.prod(level.stride) * 8 / (level.num_codebooks * math.log2(level.codebook_size))


def check_writable(folder: Path, name: str) -> None:
    """Make the folder for results before hours of training, and check that no other file would be overwritten.

    Raises:
        ConfigError: if it cannot be made or written to, or contains other files with these names.
    """
    with explained(ConfigError, folder, "cannot be written, so there is no place for results", "Choose another --out."):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    if not is_record(folder / f"{name}.json", name):
        check_outputs(folder / f"{name}{suffix}" for suffix in (".md", ".json"))


def compare_without_class(config: TrainConfig, options: RunOptions, run: Path) -> dict[str, Any]:
    """If the prior has classes: train the same prior without them, and return bits per code for both ways to ignore the class."""
    if not isinstance(config.model, PixelCNNConfig) or not config.model.classes:
        return {}
    splits = read_codes(run)
    bare = dataclasses.replace(config, model=dataclasses.replace(config.model, classes=0))
    prior = train_part(bare, splits, options, run, WITHOUT_CLASS, recipe=recipe_of(run))
    assert isinstance(prior, SamplingPrior)
    device = pick_device(options.device)
    pipeline = load(run, device)
    held_out = [batch.x.to(device) for batch in in_order(splits.held_out, 64)]
    with torch.inference_mode():
        ways = {
            "bits_per_code_trained_without_class": sum(prior.log_prob(codes).sum().item() for codes in held_out),
            "bits_per_code_class_not_given": sum(pipeline.log_prior(codes).sum().item() for codes in held_out),
        }
    count = sum(codes.numel() for codes in held_out)
    return {name: bits_per_code(-nats, count) for name, nats in ways.items()}
