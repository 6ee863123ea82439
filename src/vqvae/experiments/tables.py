"""A run's numbers as a table, compared with published numbers."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vqvae.disk import atomic
from vqvae.errors import CheckpointError
from vqvae.pipeline import PRIOR, TOKENIZER
from vqvae.reports.results import in_words, this_command, write_results
from vqvae.runs.folder import read_metrics, stored_config

PICTURES = ("reconstructions", "samples")


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
    """Write a run's numbers and the published numbers as a table, and copy the run's pictures to the table's folder."""
    metrics = {**read_metrics(run), **extra}
    seconds, by_stage = metrics.pop("seconds"), metrics.pop("seconds_by_stage")
    stages = [part for part in (TOKENIZER, PRIOR) if (run / part).is_dir()]
    steps = {part: stored_config(run, part).steps for part in stages}
    shown = [picture for picture in pictures if (run / f"{picture}.png").exists()]
    for picture in shown:
        with atomic(results / f"{name}-{picture}.png", CheckpointError) as partial:
            shutil.copyfile(run / f"{picture}.png", partial)
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
