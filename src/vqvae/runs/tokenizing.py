"""``vqvae.tokenize``: a run and a data set to shards of codes."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from vqvae.config import Parts
from vqvae.data.records.base import Records
from vqvae.data.records.datasets import DatasetRecords
from vqvae.data.records.found import find_records
from vqvae.disk import user_path
from vqvae.errors import CheckpointError, ConfigError
from vqvae.evaluation.kinds import PICTURES, Bounds, kind_of
from vqvae.media.arrow import parquet_modules
from vqvae.media.images import target_size
from vqvae.pipeline import Pipeline, load, local_run
from vqvae.progress import showing
from vqvae.runs.bounds import bounds_of
from vqvae.runs.folder import kept_here, stored_config
from vqvae.tokenization.bulk import Engine, tokenize_records
from vqvae.tokenization.plan import Plan, Reading
from vqvae.tokenization.worker import Job
from vqvae.training.machine import pick_device

SHARD_SIZE = 4096


@showing()
def tokenize(
    run: Path | str,
    data: Any = None,
    out: Path | str | None = None,
    *,
    engine: Engine = "local",
    workers: int | None = None,
    shard_size: int = SHARD_SIZE,
    format: str = "parquet",
    side: str = "train",
    column: str | None = None,
    label_column: str | None = None,
    size: int | tuple[int, int] | None = None,
    bounds: Bounds = None,
    checkpoint: str | None = None,
    device: str = "auto",
    parts: Parts = (),
) -> dict[str, Any]:
    """Encode a whole data set to shards of codes, as ``vqvae tokenize`` does. After a stop, the same call continues.

    Args:
        run: the run folder, or "hf:OWNER/NAME".
        data: a folder of files, of WebDataset tars or of Parquet files; a data set that ``save_to_disk`` of ``datasets`` wrote; one such
            file; an array file; or the settings of a data set, such as ``Cifar10Config()``. Default: the data of the run.
        out: the folder of the shards.
        engine: "local" for processes on this machine, "ray" for Ray Data.
        workers: number of processes or actors, each with one thread. Default: one for each core, or one on a GPU.
        shard_size: the number of items in a shard.
        format: "parquet" or "webdataset".
        side: the side of a data set that is given by its settings: "train" or "held-out".
        column: the column of a table that has the data. Default: the only one that can have it.
        label_column: the column of a table that has the labels. Default: ``label``.
        size: height and width that pictures are cut and resized to. Default: their own.
        bounds: the range of float data. Default: as in training.
        checkpoint: a checkpoint of the tokenizer in place of the finished one: "best", or a step.
        device: "auto", "cpu", "cuda", ...
        parts: your own configurations in the run.

    Returns:
        The manifest.

    Raises:
        ConfigError: if settings do not fit each other or the data, or the folder has other shards.
        DataError: if the data cannot be read, or the folder cannot be written.
        MissingExtraError: if the engine or the format needs a package that is not installed.
    """
    if out is None:
        raise ConfigError("The folder of the shards is missing: vqvae.tokenize(run, data, out)")
    if format == "parquet":
        parquet_modules()
    place = user_path(out).absolute()
    if isinstance(data, str | os.PathLike) and user_path(data).absolute() in (place, *place.parents):
        raise ConfigError(f"{out} lies in the data. Choose another --out.")
    run, where = local_run(run), pick_device(device)
    model = load(run, where, parts, checkpoint=checkpoint)
    reading = Reading(bounds=bounds_of(run, bounds, kind_of(model.signal)), size=_size(size, model))
    records = _records(run, model, data, side, column, label_column, parts)
    plan = Plan.of(model, records.facts, format=format, shard_size=shard_size, reading=reading)
    job = Job(run=run.absolute(), records=records, plan=plan, out=place, device=str(where), checkpoint=checkpoint, parts=tuple(parts))
    return tokenize_records(job, model, engine, _workers(str(where)) if workers is None else workers)


def _records(run: Path, model: Pipeline, data: Any, side: str, column: str | None, label_column: str | None, parts: Parts) -> Records:
    if data is None:
        data = stored_config(run, parts=parts).data
        if data is None:
            raise CheckpointError(f"{run} was trained on data that was given as an object, which is not stored. Give the data.")
        data = kept_here(data)
    if isinstance(data, str | os.PathLike):
        place = user_path(data).absolute()
        return find_records(place, kind_of(model.signal).inputs, known=model.label_names, column=column, label_column=label_column)
    if not dataclasses.is_dataclass(data) or not hasattr(data, "build"):
        raise ConfigError(f"The data came as {type(data).__name__}; a path, or settings such as Cifar10Config(), are expected.")
    return DatasetRecords(data, side)


def _size(size: int | tuple[int, int] | None, model: Pipeline) -> tuple[int, int] | None:
    if size is None:
        return None
    if kind_of(model.signal) is not PICTURES:
        raise ConfigError(f"A size was given, but the model is one of {kind_of(model.signal).name}; only pictures are resized. Omit it.")
    return target_size(size)


def _workers(device: str) -> int:
    """One for each core that this process may use; one on a GPU, which is shared badly."""
    if not device.startswith("cpu"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
