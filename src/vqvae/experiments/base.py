"""What every experiment of the paper is called with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vqvae.training import RunOptions

Scale = Literal["cpu", "paper"]
"""Sizes of an experiment: what two cores can train, or those of the paper."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One call of an experiment: what it works with, and where its results go."""

    run: Path
    """The run folder."""
    scale: Scale
    data: str | None
    """Where the data lies."""
    options: RunOptions
    results: Path
    """The folder for the table."""
    name: str
    """Of the table's files."""
    title: str
    """Of the table."""
