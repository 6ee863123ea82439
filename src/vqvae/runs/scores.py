"""Score a run on held-out data, and write its pictures and its report."""

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqvae import storage
from vqvae.config import Parts
from vqvae.data.base import Dataset
from vqvae.disk import atomic, safe_name, safe_names
from vqvae.errors import CheckpointError
from vqvae.evaluation.base import Evaluation
from vqvae.evaluation.kinds import VIDEO, Kind, kind_of
from vqvae.media.images import write_png
from vqvae.pipeline import PRIOR, TOKENIZER, UNIGRAM, Pipeline, about, load, part_of, prior_folder, prior_name
from vqvae.reports.charts import save_svg
from vqvae.reports.measures import words_of
from vqvae.reports.page import Beside, write_report
from vqvae.runs.comparison import NO_SCORES, PICTURES, Scored, compare, picture_of
from vqvae.runs.defaults import commands
from vqvae.runs.folder import REPORT, read_metrics, read_rows, record_seconds, scores_folder, update_metrics
from vqvae.training import JointConfig, RunOptions
from vqvae.training.checkpoint import only_writer
from vqvae.training.machine import pick_device

_PARTS = {TOKENIZER, PRIOR, UNIGRAM, *(f"{PRIOR}-{level}" for level in range(1, 16))}
NAMED = 40
"""Classes or speakers that the report names."""


def evaluate(
    run: Path, held_out: Dataset, options: RunOptions, parts: Parts = (), *, prior: str | None = None, beside: Path | None = None
) -> dict[str, Any]:
    """Score a run on held-out data, and write metrics.json, the pictures and the report.

    Args:
        run: the run folder. Scores with a named prior go to ``RUN/scores/NAME``.
        held_out: the data.
        options: device and threads.
        parts: the caller's own configurations in the run.
        prior: the name of the prior. Default: as in ``vqvae.load``.
        beside: another run. The report also shows its scores and pictures.

    Returns:
        The content of metrics.json.

    Raises:
        CheckpointError: if another process trains in the run folder, the folder cannot be written, or ``beside`` is not a run.
        ConfigError: if ``beside`` is the same run.
    """
    other = None if beside is None else compare([run, beside], parts)
    with only_writer(run):
        return _evaluate(run, held_out, options, parts, prior, other)


def _evaluate(
    run: Path, held_out: Dataset, options: RunOptions, parts: Parts, prior: str | None, other: list[Scored] | None
) -> dict[str, Any]:
    began = time.perf_counter()
    pipeline = load(run, pick_device(options.device), parts, prior=prior or None)
    name = prior or prior_name(run) or ""
    place = scores_folder(run, name)
    evaluation = score(pipeline, held_out)
    for picture, pixels in evaluation.pictures.items():
        write_png(place / f"{safe_name(picture)}.png", pixels)
    for title, chart in evaluation.charts.items():
        save_svg(place / f"{safe_name(title)}.svg", chart)
    _write_animations(place, evaluation)
    update_metrics(place, evaluation.scores)
    record_seconds(place, evaluation=time.perf_counter() - began)
    metrics = read_metrics(place)
    write_report(
        place / REPORT,
        title=title_of(run, parts),
        words=words_of(kind_of(pipeline.signal).name, pipeline.signal),
        summary=summary(pipeline),
        metrics=metrics,
        pictures={name: one for name, one in evaluation.pictures.items() if name not in evaluation.only_files},
        captions=evaluation.captions,
        animations=evaluation.animations,
        rows=read_rows(run),
        settings=json.dumps(stage_settings(run, name, parts), indent=2),
        data=facts(held_out, about(run, parts).training, evaluation.grouped_by),
        command=commands(run, name, parts),
        serve="" if parts else shlex.join(["vqvae", "serve", str(run), "--open"]),  # The command line does not know the caller's parts.
        counts=evaluation.counts,
        sounds=evaluation.sounds,
        charts={name: chart for name, chart in evaluation.charts.items() if name not in evaluation.only_files},
        sizes=evaluation.sizes,
        classes=evaluation.classes,
        grouped_by=evaluation.grouped_by,
        warnings=evaluation.warnings,
        beside=None if other is None else beside_of(other, held_out, options, parts),
    )
    return metrics


def _write_animations(folder: Path, evaluation: Evaluation) -> None:
    """Write each animation as ROW-NAME.webp."""
    found = {f"{row}-{name}": one for row, loops in evaluation.animations.items() for name, one in loops.items()}
    for name, one in zip(safe_names(found), found.values(), strict=True):
        with atomic(folder / f"{name}{one.suffix}", CheckpointError) as partial:
            partial.write_bytes(one.content)


def stage_settings(run: Path, prior: str = "", parts: Parts = ()) -> dict[str, Any]:
    """The settings of a run by the name of the stage. Joint training of a tokenizer and its prior is one stage."""
    stages = {TOKENIZER: run / TOKENIZER, PRIOR: prior_folder(run, 0, prior)}
    found = {stage: part_of(run, folder) for stage, folder in stages.items()}
    together = {path.name: path for path in sorted(run.iterdir()) if path.name not in _PARTS and storage.is_part(path)}
    cards = {stage: storage.read(part, (*parts, JointConfig)).card for stage, part in {**found, **together}.items() if part is not None}
    return {stage: card.training for stage, card in cards.items() if card.training is not None}


def title_of(run: Path, parts: Parts = ()) -> str:
    """The title of a report: the name of the data folder and the recipe, if the run has them, otherwise the name of the run."""
    card = about(run, parts)
    data = (card.training or {}).get("data")
    path = data.get("path") if isinstance(data, dict) else None
    folder = Path(path).name if isinstance(path, str) else ""
    return ": ".join(name for name in (folder, card.recipe) if name) or run.resolve().name


def facts(held_out: Dataset, training: Mapping[str, Any] | None, grouped_by: str) -> list[str]:
    """Sentences about the data: its path, what was found there, and the names of the classes or speakers, at most ``NAMED``."""
    data = (training or {}).get("data")
    path = data.get("path") if isinstance(data, dict) else None
    groups, names = {"class": "Classes", "speaker": "Speakers"}[grouped_by], held_out.label_names
    known = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
    return [
        *([f"From {path}."] if isinstance(path, str) else []),
        *(held_out.found or (f"{len(held_out):,} examples are held out.",)),
        *([f"{groups}: {known}."] if names else []),
    ]


def beside_of(found: Sequence[Scored], held_out: Dataset, options: RunOptions, parts: Parts = ()) -> Beside:
    """Return the scores and pictures of the last run, for the report of the first.

    If the last run has no scores but the same held-out data, it is scored here. Its folder does not change.
    """
    first, last = found[0], found[-1]
    same_data = first.data == last.data
    if last.is_scored:
        pictures = {kind: pixels for kind in PICTURES if (pixels := picture_of(last, kind)) is not None}
        return Beside(last.name, last.metrics, pictures, same_data)
    if not same_data:
        return Beside(last.name, {}, {}, same_data, f"{last.name} {NO_SCORES}: vqvae evaluate {last.place}")
    evaluation = score(load(last.place, pick_device(options.device), parts), held_out)
    return Beside(last.name, evaluation.scores, {kind: evaluation.pictures[kind] for kind in PICTURES if kind in evaluation.pictures}, True)


def score(pipeline: Pipeline, held_out: Dataset) -> Evaluation:
    """Score a model on held-out data of its kind.

    Raises:
        ConfigError: if the model knows speakers or classes, but the data has others.
    """
    if held_out.label_names != pipeline.label_names and (pipeline.speakers or pipeline.is_conditional):
        held_out = held_out.named(pipeline.label_names)
    return kind_of(pipeline.signal).score(pipeline, held_out)


def summary(pipeline: Pipeline) -> str:
    """A sentence that says how many values become how many codes, such as "Every 4×4 pixels become one code out of 512"."""
    kind, levels = kind_of(pipeline.signal), []
    for one in pipeline.layout:
        codes = "one code" if one.num_codebooks == 1 else f"{one.num_codebooks} codes"
        levels.append(f"{_covered(one.stride, kind)} become {codes} out of {one.codebook_size}")
    return f"Every {', and every '.join(levels)}."


def _covered(stride: tuple[int, ...], kind: Kind) -> str:
    if kind is not VIDEO:
        return f"{'×'.join(map(str, stride))} {kind.unit}"
    frames, *pixels = stride
    return f"{'×'.join(map(str, pixels))} pixels of {'a frame' if frames == 1 else f'{frames} frames'}"
