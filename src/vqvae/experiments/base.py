"""The arguments of every experiment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vqvae.training import RunOptions

Scale = Literal["cpu", "paper"]
"""The scale of an experiment: for two CPU cores, or as in the paper."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The arguments of one call of an experiment: its inputs and the place of its results."""

    run: Path
    """The run folder."""
    scale: Scale
    data: str | None
    """The folder of the data."""
    options: RunOptions
    results: Path
    """The folder for the table."""
    name: str
    """The name of the table's files."""
    title: str
    """The title of the table."""
