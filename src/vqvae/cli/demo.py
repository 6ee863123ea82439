"""``vqvae demo``."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vqvae.cli.arguments import note, parse, say
from vqvae.cli.settings import Options
from vqvae.errors import ConfigError
from vqvae.recipes import RECIPES
from vqvae.runs.folder import REPORT, read_metrics
from vqvae.runs.stages import prior_config, train_prior, train_tokenizer
from vqvae.training import RunOptions, TrainConfig

DESCRIPTION = "Make data on the spot, train a tokenizer of it and a prior over its codes, score both and draw samples."
DEMOS = {"images": ("demo", "runs/demo"), "speech": ("speech-demo", "runs/demo-speech")}
"""The recipe and the run folder of each."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    modality: Literal["images", "speech"] = "images"
    """"images": frames of a ViZDoom world. "speech": sentences in eSpeak's voices."""
    out: Path | None = None
    """The run folder; runs/demo or runs/demo-speech where it is left out."""
    data: str | None = None
    """The folder that keeps the rendered frames; the user's cache where it is left out. Speech is not kept."""
    steps: int | None = None
    """Training steps of each of the two stages, in place of the recipe's."""
    seed: int = 0
    """Seed of both stages."""
    json: bool = False
    """Print the scores as one JSON object."""
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Carry out the recipe of a demo from the data to the report."""
    chosen = parse(Arguments, "demo", arguments, DESCRIPTION)
    recipe, folder = DEMOS[chosen.modality]
    run = chosen.out or Path(folder)
    if chosen.data is not None and chosen.modality == "speech":
        raise ConfigError("Speech is made on the spot and kept nowhere; leave --data out.")
    train_tokenizer(_changed(RECIPES[recipe].tokenizer(chosen.data), chosen), chosen.options, run, recipe=recipe, scored=False)
    train_prior(_changed(prior_config(run), chosen), chosen.options, run)
    say(read_metrics(run), chosen.json)
    note(f"Open {run / REPORT} in a browser: originals beside reconstructions, samples, curves and scores.")
    return 0


def _changed(config: TrainConfig, chosen: Arguments) -> TrainConfig:
    steps = config.steps if chosen.steps is None else chosen.steps
    return dataclasses.replace(config, steps=steps, seed=chosen.seed)
