"""The files of a run folder besides its trained parts, and the settings and data of the training.

RUN/
  tokenizer/, unigram/, prior/   trained parts (see vqvae.pipeline)
  codes/{train,held-out}/        the codes of the data, for the priors
  coder/0/, coder/1/, ...        the entropy coders of the levels
  checkpoints/                   where training continues after a stop
  metrics.jsonl                  one line per interval of steps
  metrics.json                   the scores on held-out data
  report.html, reconstructions.png, samples.png
  scores/NAME/                   scores and report with the prior NAME
  former/N/                      priors that were trained on earlier codes
"""

import dataclasses
import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqvae import config as configuration
from vqvae import disk, storage
from vqvae.config import Parts
from vqvae.data import DataConfig
from vqvae.data.base import Splits
from vqvae.data.cache import user_path
from vqvae.disk import atomic, explained
from vqvae.errors import CheckpointError, ConfigError
from vqvae.pipeline import CHECKPOINTS, TOKENIZER, about, fits_codes, part_of, prior_name
from vqvae.pipeline import SCORES as SCORES_FILE
from vqvae.training import TrainConfig
from vqvae.training.logging import METRICS as JSON_LINES
from vqvae.training.logging import read_rows as rows_of
from vqvae.words import say

METRICS, REPORT, FORMER, SCORES = SCORES_FILE, "report.html", "former", "scores"


def recipe_of(run: Path, parts: Parts = ()) -> str:
    """The name of the recipe of a run's tokenizer."""
    return about(run, parts).recipe


def stored_config(run: Path, part: str = TOKENIZER, parts: Parts = ()) -> TrainConfig:
    """Read the training settings of a part of a run.

    Raises:
        CheckpointError: if the part has no training settings.
    """
    card = about(run, parts) if part == TOKENIZER else storage.read(part_of(run, run / part) or run / part, parts).card
    if card.training is None:
        raise CheckpointError(f"{run / part} has no training settings: it was not trained by vqvae.train or 'vqvae train'.")
    return configuration.from_json(TrainConfig, dict(card.training), parts=parts)


def stored_data(run: Path, path: str | None = None, parts: Parts = (), *, bounds: tuple[float, float] | None = None) -> Splits:
    """Build the training data of a run again.

    Args:
        run: the run folder.
        path: where the data is now.
        parts: the caller's own configurations in the run.
        bounds: the range of float data. Default: as in training.

    Raises:
        CheckpointError: if the training data was an object from Python.
        ConfigError: if the data takes no bounds.
        DataError: if the data is no longer there.
    """
    data = stored_config(run, parts=parts).data
    if data is None:
        raise CheckpointError(
            f"{run / TOKENIZER} was trained on an object from Python, which the run does not store. Pass the data again: "
            "vqvae.evaluate(run, data)."
        )
    data = kept_here(data) if path is None else moved(data, path)
    return (data if bounds is None else bounded(data, bounds)).build()


def bounded(data: DataConfig, bounds: tuple[float, float]) -> DataConfig:
    """The same data with another range of floats."""
    names = {field.name for field in dataclasses.fields(data)}
    changed: Any = data
    if "bounds" in names:
        return dataclasses.replace(changed, bounds=bounds)
    if "low" in names:
        return dataclasses.replace(changed, low=bounds[0], high=bounds[1])
    raise ConfigError(f"{type(data).__name__} takes no bounds: only pictures and arrays of floats have them. Omit the flag.")


def found_data(run: Path, path: str, parts: Parts = ()) -> Splits:
    """Read the training data of a run at its new place, ``path``, and store this place in the run.

    Raises:
        ConfigError: if the data at ``path`` is not that of the run.
        DataError: if the data cannot be read.
    """
    splits = stored_data(run, path, parts)
    if not is_own(run, splits, parts):
        raise ConfigError(
            f"{path} is not the data that {run} was trained on. Give the data of the run. To score the run on {path}: "
            f"vqvae evaluate {run} --data {path}"
        )
    keep_place(run, path, parts)
    return splits


def is_own(run: Path, splits: Splits, parts: Parts = ()) -> bool:
    """Whether data has the same content as the training data of a run."""
    card = about(run, parts)
    return (splits.train.name, splits.held_out.name) == (card.data, card.held_out_data)


def keep_place(run: Path, path: str, parts: Parts = ()) -> None:
    """Store the new place of a run's data, if its tokenizer is finished.

    Raises:
        CheckpointError: if the folder cannot be written.
    """
    if not (run / TOKENIZER).is_dir():
        return
    config, card = stored_config(run, parts=parts), about(run, parts)
    assert config.data is not None and card.training is not None, "it was found by them"
    data = configuration.to_json(moved(config.data, path))
    if data != card.training.get("data"):
        storage.write_card(run / TOKENIZER, dataclasses.replace(card, training={**card.training, "data": data}), parts)


def kept_here(data: DataConfig) -> DataConfig:
    """The data of a run, at the place in its settings if files are there already, otherwise in the user's cache.

    So a run from somebody else does not decide where files are written.
    """
    field, files = getattr(data, "kept_in", ("", ""))
    place = getattr(data, field, None)
    if place is None or any(user_path(place).glob(files)):
        return data
    changed: Any = data
    return dataclasses.replace(changed, **{field: None})


def moved(data: DataConfig, path: str) -> DataConfig:
    """The same kind of data, from another place.

    Raises:
        ConfigError: if this kind of data is generated, not read.
    """
    if "path" not in {field.name for field in dataclasses.fields(data)}:
        raise ConfigError("This data is generated, not read from a folder. Omit --data.")
    changed: Any = data
    return dataclasses.replace(changed, path=path)


def scores_folder(run: Path, prior: str | None = None) -> Path:
    """The folder for the scores with a prior: the run folder or, for a named prior, ``RUN/scores/NAME``. Default: as in ``load``."""
    name = prior if prior is not None else prior_name(run)
    return run / SCORES / name if name else run


def read_metrics(run: Path) -> dict[str, Any]:
    """``metrics.json`` of a run; empty if there is none yet.

    Raises:
        CheckpointError: if it is damaged or cannot be read.
    """
    path, advice = run / METRICS, f"Remove it; 'vqvae evaluate {run}' writes a new one."
    try:
        with explained(CheckpointError, path, "cannot be read", advice):
            metrics = configuration.loads(disk.read_text(path)) if os.path.lexists(path) else {}
    except (ConfigError, ValueError):
        metrics = None
    if not isinstance(metrics, dict) or not isinstance(metrics.get("seconds_by_stage", {}), dict):
        raise CheckpointError(f"{path} is damaged: it does not contain scores in JSON. {advice}")
    return metrics


def update_metrics(run: Path, values: Mapping[str, Any]) -> None:
    """Set keys of ``metrics.json`` in one write. ``seconds`` becomes the sum of its stages."""
    metrics = {**read_metrics(run), **values}
    metrics["seconds"] = sum(metrics.get("seconds_by_stage", {}).values())
    with atomic(run / METRICS, CheckpointError) as partial:
        partial.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def record_seconds(run: Path, **seconds: float) -> None:
    """Store how long stages took in their last run."""
    update_metrics(run, {"seconds_by_stage": {**read_metrics(run).get("seconds_by_stage", {}), **seconds}})


def put_aside_stale(run: Path, folder: Path, level: int, parts: Parts = ()) -> None:
    """Move a prior of earlier codes and its checkpoints to ``RUN/former/``, so that a prior of the new codes can be trained.

    Raises:
        CheckpointError: if they cannot be moved.
    """
    place = part_of(run, folder)
    if place is None or fits_codes(run, storage.read(place, parts).card, level):
        return
    name = folder.relative_to(run)
    number = next(number for number in itertools.count(1) if not (run / FORMER / str(number)).exists())
    for source, target in ((folder, name), (run / CHECKPOINTS / name, Path(CHECKPOINTS) / name)):
        if source.is_dir():
            to = run / FORMER / str(number) / target
            with explained(CheckpointError, source, "cannot be moved", f"Move it out of {run}."):
                to.parent.mkdir(parents=True, exist_ok=True)
                source.rename(to)
    say(f"{folder} was trained on earlier codes of the tokenizer. It is now in {run / FORMER / str(number)}.")


def read_rows(run: Path) -> list[dict[str, Any]]:
    """The rows that training wrote."""
    return rows_of(run / JSON_LINES)


def trained_seconds(run: Path, stage: str) -> float:
    """Training time of a stage in seconds, over all starts of the run."""
    return max((row.get("seconds", 0.0) for row in read_rows(run) if row["stage"] == stage), default=0.0)
