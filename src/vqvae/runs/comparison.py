"""Several runs side by side: a table of their scores, and a page with their pictures."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vqvae.config import Parts
from vqvae.errors import ConfigError, VqvaeError
from vqvae.media.images import read_image
from vqvae.pipeline import about, prior_names
from vqvae.reports.measures import in_words, measure
from vqvae.reports.page import write_side_by_side
from vqvae.runs.folder import read_metrics, scores_folder
from vqvae.storage import hub
from vqvae.words import counted, duration

PICTURES = ("reconstructions", "samples")

DIFFERENT = "These runs were scored on different held-out data. Do not compare their scores."
NO_SCORES = "has no scores yet. To score it"


class Scored(NamedTuple):
    """A run, or a run with one of its named priors."""

    name: str
    place: Path
    """Where its scores and pictures are."""
    metrics: dict[str, Any]
    data: str
    """Identifies its held-out data by content."""

    @property
    def is_scored(self) -> bool:
        """Whether it has scores, not only times."""
        return any(name != "seconds" for name in _numbers(self))


def compare(runs: Sequence[Path], parts: Parts = ()) -> list[Scored]:
    """Read the scores of runs. A run with named priors has an entry for each prior that has scores.

    Raises:
        ConfigError: if there are fewer than two runs, or a run is given twice.
        CheckpointError: if one is not a run, or its scores are damaged.
    """
    if len(runs) < 2:
        raise ConfigError(f"Got {counted(len(runs), 'runs')}; give two or more: vqvae compare RUN RUN")
    if len({os.path.realpath(run) for run in runs}) < len(runs):
        raise ConfigError("A run was given twice. Give each run once.")
    names = [hub.cached_name(path) or path.resolve().name for path in runs]
    found = []
    for run, short in zip(runs, names, strict=True):
        data = about(run, parts).held_out_data
        title = short if names.count(short) == 1 else str(run)
        found.append(Scored(title, run, read_metrics(run), data))
        for prior in prior_names(run):
            place = scores_folder(run, prior)
            if prior and place.is_dir():
                found.append(Scored(f"{title}, prior {prior}", place, read_metrics(place), data))
    # If the only prior of a run has a name, all scores are with the prior.
    return [one for one in found if _numbers(one) or not any(other.place.is_relative_to(one.place) for other in found if other != one)]


def cells(found: Sequence[Scored]) -> list[list[str]]:
    """The header and the rows of the table: a row for each score, a column for each run, and "-" for a missing score."""
    names = list(dict.fromkeys(name for one in found for name in _numbers(one)))
    rows = [[measure(name).title, *(_cell(name, _numbers(one).get(name)) for one in found)] for name in names]
    return [["Score", *(one.name for one in found)], *rows]


def table(found: Sequence[Scored]) -> str:
    """The table as text, with a warning if the runs were scored on different data."""
    rows = cells(found)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *warnings(found)])


def write_comparison(path: Path, found: Sequence[Scored]) -> None:
    """Write the table and the pictures of runs as one page.

    Raises:
        CheckpointError: if the page cannot be written.
    """
    drawn = [{f"{kind}, {one.name}": pixels for one in found if (pixels := picture_of(one, kind)) is not None} for kind in PICTURES]
    title = f"Comparison of {', '.join(one.name for one in found)}"
    names, scores = [one.name for one in found], [_numbers(one) for one in found]
    write_side_by_side(path, title=title, names=names, scores=scores, pictures=drawn, warnings=warnings(found))


def warnings(found: Sequence[Scored]) -> list[str]:
    """Why the scores cannot be compared: different data, or no scores."""
    missing = [f"{one.name} {NO_SCORES}: vqvae evaluate {one.place}" for one in found if not one.is_scored]
    return [*([DIFFERENT] if len({one.data for one in found}) > 1 else []), *missing]


def _numbers(one: Scored) -> dict[str, float]:
    return {name: float(value) for name, value in one.metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _cell(name: str, value: float | None) -> str:
    return "-" if value is None else duration(value) if name == "seconds" else " ".join(in_words(name, value)).rstrip()


def picture_of(one: Scored, kind: str) -> np.ndarray | None:
    """A picture of a run, uint8 (height, width, 3). None if it is missing or damaged."""
    try:
        return np.ascontiguousarray(read_image(one.place / f"{kind}.png").transpose(1, 2, 0))
    except VqvaeError:
        return None
