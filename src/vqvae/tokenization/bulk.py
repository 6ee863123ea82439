"""A whole data set to shards of codes: exactly once, whatever stops it on the way.

OUT/
  plan.json                    what decides the shards, before the work starts
  shards/shard-000000.parquet  one for every ``shard_size`` items, or .tar
  manifest.json                when all shards are done: counts, digests, bad items

A shard appears whole or not at all. After a stop, those that are there are kept, and the others are written.
"""

import hashlib
import json
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

from vqvae import config as configuration
from vqvae.data.records.base import BadRecord
from vqvae.data.shard_format import smallest_type
from vqvae.disk import atomic, clean, explained, held, read_text
from vqvae.errors import ConfigError, DataError
from vqvae.pipeline import Pipeline
from vqvae.progress import Progress
from vqvae.tokenization.cluster import run_ray
from vqvae.tokenization.formats import FORMATS
from vqvae.tokenization.local import run_local
from vqvae.tokenization.parquet import give_sizes, has_sizes
from vqvae.tokenization.plan import MANIFEST, SHARDS, Plan, settle
from vqvae.tokenization.rows import Outcome, joint_shapes
from vqvae.tokenization.worker import Job

Engine = Literal["local", "ray"]
ENGINES = ("local", "ray")
_LOCK = ".lock"
_ADVICE = "Run the same command again."


def tokenize_records(job: Job, model: Pipeline, engine: str, workers: int) -> dict[str, Any]:
    """Write all shards that are missing, and the manifest. Returns the manifest.

    Args:
        job: the work.
        model: the model that the job names.
        engine: "local" or "ray".
        workers: number of processes or actors.

    Raises:
        ConfigError: if the folder has other shards, or another process is at work there.
        DataError: if the folder cannot be written.
        MissingExtraError: if the engine or the format needs a package that is not installed.
    """
    if engine not in ENGINES or workers < 1:
        raise ConfigError(f"The engine is {engine!r} with {workers} workers; 'local' or 'ray' and at least 1 are expected.")
    plan, out = job.plan, job.out
    with explained(DataError, out, advice="Choose another --out."):
        clean(out)
        settle(plan, out)
        with held(out / _LOCK, 0) as is_free:
            if not is_free:
                raise ConfigError(f"Another process writes to {out}. Wait until it is done, or choose another --out.")
            clean(out / SHARDS)
            _write_missing(job, model, engine, workers)
            return _finish(plan, out)


def read_manifest(out: Path) -> dict[str, Any]:
    """The manifest of a finished tokenization.

    Raises:
        DataError: if it is missing or damaged.
    """
    path = out / MANIFEST
    with explained(DataError, path, "cannot be read", "Tokenize the data: vqvae tokenize RUN DATA --out DIR"):
        text = read_text(path)
    try:
        found = configuration.loads(text, str(path))
        texts = [text for one in found["shards"] for text in (one["file"], one["sha256"])]
        if all(isinstance(one, str) for one in texts) and isinstance(found["bad"], list):
            return found
    except (ConfigError, LookupError, TypeError):
        pass
    raise DataError(f"{path} is damaged. Run 'vqvae tokenize' again.")


def _write_missing(job: Job, model: Pipeline, engine: str, workers: int) -> None:
    plan = job.plan
    missing = _missing(plan, job.out)
    if not missing:
        return
    done = run_ray(job, missing, workers) if engine == "ray" else run_local(job, missing, workers, model)
    items = plan.items - sum(len(plan.items_of(shard)) for shard in missing)
    with closing(Progress("tokenizing", plan.items, done=items)) as progress, closing(done):
        for shard in done:
            items += len(plan.items_of(shard))
            progress.update(items)


def _missing(plan: Plan, out: Path) -> list[int]:
    """The shards to write: those that are not there, are damaged, or changed since the manifest was written."""
    try:
        stated = {one["file"]: one["sha256"] for one in read_manifest(out)["shards"]}
    except DataError:  # There is none, or it is damaged.
        outcome = FORMATS[plan.format].outcome
        return [shard for shard in range(plan.shards) if outcome(out / plan.file(shard), plan, shard) is None]
    paths = [(out / file, stated.get(file)) for file in map(plan.file, range(plan.shards))]
    return [shard for shard, (path, sha256) in enumerate(paths) if not path.is_file() or _sha256(path) != sha256]


def _finish(plan: Plan, out: Path) -> dict[str, Any]:
    """Give all shards the same columns, and write the manifest."""
    outcomes = [_outcome(plan, out, shard) for shard in range(plan.shards)]
    shapes = joint_shapes(outcomes)
    if plan.format == "parquet":
        for path in (out / plan.file(shard) for shard in range(plan.shards)):
            if not has_sizes(path, shapes):
                with atomic(path, DataError, _ADVICE) as partial:
                    give_sizes(path, partial, plan, shapes)
    shards = [_entry(out, plan.file(shard), outcome) for shard, outcome in enumerate(outcomes)]
    bad = [_bad(shard, one) for shard, outcome in enumerate(outcomes) for one in outcome.bad]
    manifest = {
        "plan": configuration.to_json(plan),
        "items": sum(outcome.items for outcome in outcomes),
        "types": [smallest_type(size).name for _, size in plan.layout],
        "shapes": shapes,
        "shards": shards,
        "bad": bad,
    }
    text = json.dumps(manifest, indent=1)
    path = out / MANIFEST
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        with atomic(path, DataError, _ADVICE) as partial:
            partial.write_text(text, encoding="utf-8")
    return configuration.loads(text)


def _outcome(plan: Plan, out: Path, shard: int) -> Outcome:
    path = out / plan.file(shard)
    found = FORMATS[plan.format].outcome(path, plan, shard)
    if found is None:
        raise DataError(f"{path} disappeared or was changed during the work. {_ADVICE}")
    return found


def _entry(out: Path, file: str, outcome: Outcome) -> dict[str, Any]:
    return {"file": file, "items": outcome.items, "bytes": (out / file).stat().st_size, "sha256": _sha256(out / file)}


def _bad(shard: int, one: BadRecord) -> dict[str, Any]:
    return {"id": one.id, "shard": shard, "error": one.error}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
