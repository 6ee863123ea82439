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
from vqvae.pipeline import PRIOR, TOKENIZER, Pipeline, about, load
from vqvae.recipes import RECIPES
from vqvae.reports.charts import save_svg
from vqvae.reports.page import write_report
from vqvae.runs.folder import REPORT, read_metrics, read_rows, recipe_of, record_seconds, update_metrics
from vqvae.training import RunOptions
from vqvae.training.machine import pick_device


def evaluate(run: Path, held_out: Dataset, options: RunOptions, parts: Parts = ()) -> dict[str, Any]:
    """Score a run on held-out data and write metrics.json, the pictures and the report; gives what is in metrics.json then."""
    began = time.perf_counter()
    pipeline = load(run, pick_device(options.device), parts)
    evaluation = score(pipeline, held_out)
    for name, pixels in evaluation.pictures.items():
        write_png(run / f"{safe_name(name)}.png", pixels)
    for name, chart in evaluation.charts.items():
        save_svg(run / f"{safe_name(name)}.svg", chart)
    update_metrics(run, evaluation.scores)
    record_seconds(run, evaluation=time.perf_counter() - began)
    metrics, card, recipe = read_metrics(run), about(run, parts), recipe_of(run, parts)
    settings = {part: storage.read(run / part, parts).card.training for part in (TOKENIZER, PRIOR) if (run / part).is_dir()}
    known = RECIPES.get(recipe)
    write_report(
        run / REPORT,
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
