"""What a recipe is."""

from collections.abc import Callable
from dataclasses import dataclass

from vqvae.models import Level
from vqvae.training import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Complete settings for one data set: a tokenizer and the prior over its codes. Every field of both can be overridden."""

    name: str
    """What users call it."""
    summary: str
    """What it trains, in a line."""
    paper: str
    """The experiment of [VQVAE §4] that it follows."""
    cost: str
    """What it takes."""
    expected: str
    """What it reached where it was measured."""
    tokenizer: Callable[[str | None], TrainConfig]
    """The first stage's settings, for data at a path (None: rendered or downloaded on the spot)."""
    prior: Callable[[Level, int], TrainConfig]
    """The second stage's settings, for the shape of the codes and the number of classes of the data (0: none)."""
