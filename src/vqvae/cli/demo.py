"""``vqvae demo``."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqvae.cli.arguments import Options, note, parse, say
from vqvae.recipes import RECIPES
from vqvae.recipes.stages import REPORT, prior_config, read_metrics, train_prior, train_tokenizer
from vqvae.training import RunOptions, TrainConfig

DESCRIPTION = "Render frames of a ViZDoom world, train a tokenizer of them and a prior over its codes, score both and draw samples."


@dataclass(frozen=True, kw_only=True)
class Arguments:
    out: Path = Path("runs/demo")
    """The run folder."""
    data: str | None = None
    """The folder that keeps the rendered frames; the user's cache where it is left out."""
    steps: int | None = None
    """Training steps of each of the two stages, in place of the recipe's."""
    seed: int = 0
    """Seed of both stages."""
    json: bool = False
    """Print the scores as one JSON object."""
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Carry out the recipe 'demo' from the frames to the report."""
    chosen = parse(Arguments, "demo", arguments, DESCRIPTION)
    tokenizer = _changed(RECIPES["demo"].tokenizer(chosen.data), chosen)
    train_tokenizer(tokenizer, chosen.options, chosen.out, recipe="demo", scored=False)
    train_prior(_changed(prior_config(chosen.out), chosen), chosen.options, chosen.out)
    say(read_metrics(chosen.out), chosen.json)
    note(f"Open {chosen.out / REPORT} in a browser: originals beside reconstructions, samples, curves and scores.")
    return 0


def _changed(config: TrainConfig, chosen: Arguments) -> TrainConfig:
    steps = config.steps if chosen.steps is None else chosen.steps
    return dataclasses.replace(config, steps=steps, seed=chosen.seed)
