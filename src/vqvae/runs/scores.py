"""The scores of a run on held-out data, with its pictures and its report."""

import json
import time
from pathlib import Path
from typing import Any

from vqvae import storage
from vqvae.config import Parts
from vqvae.data.base import Dataset
from vqvae.disk import safe_name
from vqvae.evaluation.base import Evaluation
from vqvae.evaluation.kinds import kind_of
from vqvae.media.images import write_png
from vqvae.pipeline import PRIOR, TOKENIZER, Pipeline, about, load, part_of, prior_folder, prior_name
from vqvae.recipes import RECIPES
from vqvae.reports.charts import save_svg
from vqvae.reports.page import write_report
from vqvae.runs.folder import REPORT, read_metrics, read_rows, recipe_of, record_seconds, scores_folder, update_metrics
from vqvae.training import RunOptions
from vqvae.training.checkpoint import only_writer
from vqvae.training.machine import pick_device


def evaluate(run: Path, held_out: Dataset, options: RunOptions, parts: Parts = (), *, prior: str | None = None) -> dict[str, Any]:
    """Score a run on held-out data, and write metrics.json, the pictures and the report.

    Args:
        run: the run folder. Scores with a prior that has a name go to ``RUN/scores/NAME``.
        held_out: what is scored.
        options: how it is carried out.
        parts: configurations of the caller's own that the run holds.
        prior: the name of the prior; default: as in ``vqvae.load``.

    Returns:
        What is in metrics.json then.

    Raises:
        CheckpointError: another process trains in the run folder, or it cannot be written.
    """
    with only_writer(run):
        return _evaluate(run, held_out, options, parts, prior)


def _evaluate(run: Path, held_out: Dataset, options: RunOptions, parts: Parts, prior: str | None) -> dict[str, Any]:
    began = time.perf_counter()
    pipeline = load(run, pick_device(options.device), parts, prior=prior or None)
    name = prior or prior_name(run) or ""
    place = scores_folder(run, name)
    evaluation = score(pipeline, held_out)
    for picture, pixels in evaluation.pictures.items():
        write_png(place / f"{safe_name(picture)}.png", pixels)
    for title, chart in evaluation.charts.items():
        save_svg(place / f"{safe_name(title)}.svg", chart)
    update_metrics(place, evaluation.scores)
    record_seconds(place, evaluation=time.perf_counter() - began)
    metrics, card, recipe = read_metrics(place), about(run, parts), recipe_of(run, parts)
    stages = {TOKENIZER: run / TOKENIZER, PRIOR: prior_folder(run, 0, name)}
    found = {stage: part_of(run, folder) for stage, folder in stages.items()}
    settings = {stage: storage.read(part, parts).card.training for stage, part in found.items() if part is not None}
    known = RECIPES.get(recipe)
    write_report(
        place / REPORT,
        title=f"{recipe or 'run'}: {card.data}",
        summary=summary(pipeline),
        metrics=metrics,
        pictures=evaluation.pictures,
        rows=read_rows(run),
        settings=json.dumps(settings, indent=2),
        command=(known.command if known else "") or f"vqvae train {recipe}\nvqvae train-prior RUN",
        counts=evaluation.counts,
        sounds=evaluation.sounds,
        charts=list(evaluation.charts.values()),
    )
    return metrics


def score(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score a model on held-out data, as data of its kind is scored.

    Raises:
        ConfigError: the model knows who speaks, or of which class an example is, and the data has others.
    """
    if held_out.label_names != pipeline.label_names and (pipeline.speakers or pipeline.is_conditional):
        held_out = held_out.named(pipeline.label_names)
    return kind_of(pipeline.signal).score(pipeline, held_out)


def summary(pipeline: Pipeline) -> str:
    """What becomes of the data, in a sentence."""
    what = kind_of(pipeline.signal).unit
    levels = [f"{'×'.join(map(str, one.stride))} {what} become {one.num_codebooks} of {one.codebook_size} codes" for one in pipeline.layout]
    return f"Every {', and every '.join(levels)}."
