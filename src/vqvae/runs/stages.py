"""The stages of a run, each of which leaves its results in the run folder: tokenizer, codes, prior, evaluation.

RUN/
  tokenizer/, unigram/, prior/   trained parts (see vqvae.pipeline)
  codes/{train,held-out}/        what the tokenizer makes of the data, for the priors
  checkpoints/                   where training goes on after an interruption
  metrics.jsonl                  a line an interval of steps
  metrics.json                   the scores on held-out data
  report.html, reconstructions.png, samples.png
"""

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vqvae import config as configuration
from vqvae import distributed, storage
from vqvae.data import (
    AudioDataset,
    CodesDataset,
    CodesHeader,
    CodesWriter,
    DataConfig,
    SyntheticImagesConfig,
    VoicesConfig,
    in_order,
)
from vqvae.data.base import Batch, Dataset, Splits
from vqvae.disk import atomic
from vqvae.errors import CheckpointError, ConfigError
from vqvae.reports.charts import save_svg
from vqvae.reports.grids import save_png
from vqvae.reports.page import write_report
from vqvae.reports.results import this_command, write_results
from vqvae.models import Tokenizer
from vqvae.codes import latent_mask
from vqvae.pipeline import PRIOR, TOKENIZER, UNIGRAM, Pipeline, about, load
from vqvae.priors import AutoregressivePrior, UnigramPriorConfig
from vqvae.recipes import RECIPES
from vqvae.reports.results import in_words
from vqvae.evaluation.base import Evaluation
from vqvae.evaluation.images.scores import score_images
from vqvae.evaluation.speech.scores import score_speech
from vqvae.training import ReconstructionGrid, RunOptions, SampleGrid, TrainConfig, Trainer, build
from vqvae.training.machine import pick_device

METRICS, REPORT, JSON_LINES = "metrics.json", "report.html", "metrics.jsonl"
CODES, SIDES = "codes", ("train", "held-out")
PICTURES = ("reconstructions", "samples")


def train_tokenizer(config: TrainConfig, options: RunOptions, run: Path, *, recipe: str, scored: bool = True) -> None:
    """Train the first stage, then write its codes and score it, unless the second stage follows at once and scores both.

    Raises:
        VqvaeError: wrong data or settings, an interruption, a folder of another run.
    """
    if config.data is None:
        raise ConfigError("A tokenizer is trained on data, but config.data is null.")
    module = build(config)
    if not isinstance(module, Tokenizer):
        raise ConfigError(f"The first stage trains a tokenizer, a model with codes, but config.model builds a {type(module).__name__}.")
    began = time.perf_counter()
    splits = config.data.build()
    seconds = time.perf_counter() - began
    rate = splits.held_out.rate if isinstance(splits.held_out, AudioDataset) else None
    callbacks = [ReconstructionGrid(splits.held_out, every=config.evaluate_every)] if rate is None else []
    extra = {"recipe": recipe, "size": list(splits.held_out.batch(np.arange(1)).x.shape[2:]), "rate": rate}
    trainer = Trainer(module, splits, config, options, run, TOKENIZER, callbacks, extra)
    with distributed.group(trainer.device):
        trainer.run()
        if distributed.is_main():
            with distributed.alone():
                _record(run, data=seconds, tokenizer=trained_seconds(run, TOKENIZER))
                write_codes(run, splits, options)
                if scored:
                    evaluate(run, splits.held_out, options)


def train_prior(config: TrainConfig, options: RunOptions, run: Path, *, scored: bool = True) -> None:
    """Train the second stage on the codes of a run, then score both, unless the caller does.

    Raises:
        VqvaeError: there is no tokenizer, or the codes are those of another one; an interruption.
    """
    prior = build(config)
    if not isinstance(prior, AutoregressivePrior):
        raise ConfigError(f"The second stage trains an autoregressive prior, but config.model builds a {type(prior).__name__}.")
    splits = read_codes(run, labels=prior.classes > 0)
    stored = load(run, pick_device(options.device))
    pipeline = Pipeline(stored.tokenizer, label_names=splits.train.label_names, size=stored.size)
    callbacks = [SampleGrid(pipeline, every=config.evaluate_every)] if stored.rate is None else []
    trainer = Trainer(prior, splits, config, options, run, PRIOR, callbacks, {"recipe": recipe_of(run)})
    with distributed.group(trainer.device):
        trainer.run()
        if distributed.is_main():
            with distributed.alone():
                _record(run, prior=trained_seconds(run, PRIOR))
                if scored:
                    evaluate(run, stored_data(run).held_out, options)


def train_part(config: TrainConfig, splits: Splits, options: RunOptions, folder: Path, stage: str, *, recipe: str) -> nn.Module:
    """Train any one model to the end as ``folder/stage``, or load it where it is; no codes, no scores, no pictures.

    Raises:
        VqvaeError: an interruption, or a folder of another training.
    """
    return Trainer(build(config), splits, config, options, folder, stage, (), {"recipe": recipe}).run()


def prior_config(run: Path) -> TrainConfig:
    """The second stage's settings by the recipe of the run's tokenizer; where that has none, those of 'images', or of 'speech-demo'."""
    pipeline = load(run)
    recipe = RECIPES.get(recipe_of(run), RECIPES["images" if pipeline.rate is None else "speech-demo"])
    return recipe.prior(pipeline.tokenizer.layout[0], len(read_codes(run).train.label_names))


def write_codes(run: Path, splits: Splits, options: RunOptions) -> None:
    """Turn both sides of the data into shards of codes and count them; shards that are there are kept."""
    began, written = time.perf_counter(), 0
    pipeline = load(run, pick_device(options.device))
    level = pipeline.tokenizer.layout[0]
    for side, whole in zip(SIDES, splits, strict=True):
        dataset = whole.apart() if isinstance(whole, AudioDataset) else whole
        header = CodesHeader(
            source=_source(run, side),
            num_codebooks=level.num_codebooks,
            codebook_size=level.codebook_size,
            space=tuple(pipeline.encode(dataset.batch(np.arange(1)).x).shape[2:]),
            count=len(dataset),
            label_names=dataset.label_names,
        )
        writer = CodesWriter(run / CODES / side, header, on_mismatch="rewrite")
        for shard in writer.missing():
            batches = list(in_order(dataset, pipeline.batch_size, start=shard.examples.start, stop=shard.examples.stop))
            codes = torch.cat([_encode(pipeline, batch) for batch in batches])
            labels = [batch.condition.label for batch in batches if batch.condition.label is not None]
            writer.write(
                shard, codes.numpy(), torch.cat(labels).numpy() if labels else None, _lengths(batches, level.stride, codes.shape[2])
            )
            written += 1
        writer.finish()
    unigram = UnigramPriorConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks).build()
    for batch in in_order(read_codes(run).train, 4096):
        unigram.count(batch.x, batch.mask)
    storage.save(unigram, run / UNIGRAM)
    if written:
        _record(run, codes=time.perf_counter() - began)


@torch.inference_mode()
def _encode(pipeline: Pipeline, batch: Batch) -> Tensor:
    return pipeline.tokenizer.encode(batch.to(pipeline.device))[0].cpu()


def _lengths(batches: Sequence[Batch], stride: tuple[int, ...], full: int) -> np.ndarray | None:
    """How many codes of each example stand for data; None where all do."""
    masks = [None if batch.mask is None else latent_mask(batch.mask, stride) for batch in batches]
    if all(mask is None for mask in masks):
        return None
    found = [np.full(len(batch.x), full) if mask is None else mask.sum(1).numpy() for batch, mask in zip(batches, masks, strict=True)]
    return np.concatenate(found)


def read_codes(run: Path, *, labels: bool = True) -> Splits:
    """The codes of a run's data, checked to be those of its tokenizer; without ``labels``, for a prior that takes none.

    Raises:
        CheckpointError: there is no tokenizer.
        DataError: codes are missing, damaged or of another tokenizer.
    """
    return Splits(*(CodesDataset(run / CODES / side, source=_source(run, side), labels=labels) for side in SIDES))


def evaluate(run: Path, held_out: Dataset, options: RunOptions) -> dict[str, Any]:
    """Score a run on held-out data and write metrics.json, the pictures and the report; gives what is in metrics.json then."""
    began = time.perf_counter()
    pipeline = load(run, pick_device(options.device))
    evaluation = score(pipeline, held_out)
    for name, pixels in evaluation.pictures.items():
        save_png(run / f"{name}.png", pixels)
    for name, chart in evaluation.charts.items():
        save_svg(run / f"{name}.svg", chart)
    update_metrics(run, evaluation.scores)
    _record(run, evaluation=time.perf_counter() - began)
    metrics, stored = read_metrics(run), about(run)
    settings = {part: storage.read(run / part).extra.get("training") for part in (TOKENIZER, PRIOR) if (run / part).is_dir()}
    level, recipe = pipeline.tokenizer.layout[0], recipe_of(run)
    known, what = RECIPES.get(recipe), "pixels" if pipeline.rate is None else "samples"
    write_report(
        run / REPORT,
        title=f"{recipe}: {stored.get('data')}",
        summary=f"Every {'×'.join(map(str, level.stride))} {what} become {level.num_codebooks} of {level.codebook_size} codes.",
        metrics=metrics,
        pictures=evaluation.pictures,
        rows=_rows(run),
        settings=json.dumps(settings, indent=2),
        command=(known.command if known else "") or f"vqvae train {recipe}\nvqvae train-prior RUN",
        counts=evaluation.counts,
        sounds=evaluation.sounds,
        charts=list(evaluation.charts.values()),
    )
    return metrics


def score(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score a model on held-out data: of images by ``score_images``, of audio by ``score_speech``.

    Raises:
        ConfigError: the model is told who speaks, or of which class an image is, and the data has others, or in another order.
    """
    if held_out.label_names != pipeline.label_names and (pipeline.speakers or pipeline.is_conditional):
        if not isinstance(held_out, AudioDataset):
            raise ConfigError(
                f"This data has the classes {list(held_out.label_names)[:8]}; the model was trained on {list(pipeline.label_names)[:8]}. "
                "Give data with the same classes."
            )
        held_out = held_out.named(pipeline.label_names)
    return score_speech(pipeline, held_out) if isinstance(held_out, AudioDataset) else score_images(pipeline, held_out)


def recipe_of(run: Path) -> str:
    """The name of the recipe that a run's tokenizer was trained by."""
    return str(about(run).get("recipe", ""))


def stored_data(run: Path, path: str | None = None) -> Splits:
    """The data that a run was trained on, built again; ``path`` takes the place of where it lay.

    Raises:
        DataError: it is no longer there.
    """
    data = stored_config(run).data
    if data is None:
        raise CheckpointError(f"{run / TOKENIZER} was trained without data, so it is no tokenizer.")
    return (data if path is None else moved(data, path)).build()


def stored_config(run: Path, part: str = TOKENIZER) -> TrainConfig:
    """The settings that a part of a run was trained with.

    Raises:
        CheckpointError: it does not say.
    """
    training = (about(run) if part == TOKENIZER else storage.read(run / part).extra).get("training")
    if not isinstance(training, dict):
        raise CheckpointError(f"{run / part} does not say what it was trained on; it was not trained by 'vqvae train'.")
    return configuration.from_json(TrainConfig, training)


def moved(data: DataConfig, path: str) -> DataConfig:
    """The same kind of data, from another place.

    Raises:
        ConfigError: this kind is made on the spot and lies nowhere.
    """
    if isinstance(data, SyntheticImagesConfig | VoicesConfig):
        raise ConfigError("This data is made on the spot and lies nowhere; leave --data out.")
    return dataclasses.replace(data, path=path)


def read_metrics(run: Path) -> dict[str, Any]:
    """``metrics.json`` of a run; empty where there is none yet."""
    path = run / METRICS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def update_metrics(run: Path, values: Mapping[str, Any]) -> None:
    """Set keys of ``metrics.json`` in one stroke; ``seconds`` is the sum of its stages."""
    metrics = {**read_metrics(run), **values}
    metrics["seconds"] = sum(metrics.get("seconds_by_stage", {}).values())
    with atomic(run / METRICS) as partial:
        partial.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def tabulate(
    run: Path,
    results: Path,
    name: str,
    title: str,
    *,
    published: Mapping[str, str] = MappingProxyType({}),
    extra: Mapping[str, Any] = MappingProxyType({}),
    pictures: Sequence[str] = PICTURES,
) -> dict[str, Any]:
    """Write the numbers of a run as a table with what is published beside them, and copy its pictures there."""
    metrics = {**read_metrics(run), **extra}
    seconds, by_stage = metrics.pop("seconds"), metrics.pop("seconds_by_stage")
    stages = [part for part in (TOKENIZER, PRIOR) if (run / part).is_dir()]
    steps = {part: stored_config(run, part).steps for part in stages}
    shown = [picture for picture in pictures if (run / f"{picture}.png").exists()]
    results.mkdir(parents=True, exist_ok=True)
    for picture in shown:
        shutil.copyfile(run / f"{picture}.png", results / f"{name}-{picture}.png")
    return write_results(
        results,
        name,
        title=title,
        command=this_command(),
        columns=("measure, on held-out data", "published", "ours"),
        rows=[(key, published.get(key, ""), in_words(metrics.get(key))) for key in {**metrics, **published}],
        values={**metrics, "published": dict(published), "steps_by_stage": steps, "seconds_by_stage": by_stage},
        seconds=seconds,
        steps=sum(steps.values()),
        notes="\n\n".join(f"![{picture}]({name}-{picture}.png)" for picture in shown),
    )


def trained_seconds(run: Path, stage: str) -> float:
    """How long a stage was trained, over all interruptions."""
    return max((row["seconds"] for row in _rows(run) if row["stage"] == stage), default=0.0)


def _record(run: Path, **seconds: float) -> None:
    """Note what stages took when they were last carried out."""
    update_metrics(run, {"seconds_by_stage": {**read_metrics(run).get("seconds_by_stage", {}), **seconds}})


def _rows(run: Path) -> list[dict[str, Any]]:
    """What was noted while the run was trained."""
    path = run / JSON_LINES
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def _source(run: Path, side: str) -> str:
    """Names a tokenizer's weights and a side of its data, so that codes of others are never taken for these."""
    data = about(run).get("data")
    with (run / TOKENIZER / storage.WEIGHTS).open("rb") as file:
        return f"tokenizer {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}, {data}, {side}"
