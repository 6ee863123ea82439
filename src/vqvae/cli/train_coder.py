"""``vqvae train-coder RUN``."""

from collections.abc import Sequence

from vqvae.cli.arguments import parse, say
from vqvae.cli.values import Run
from vqvae.config import settings
from vqvae.runs.coder import train_coder

DESCRIPTION = "Train the entropy coder of a run, for smaller compressed files. 'vqvae train' with a prior does this too."


@settings
class Arguments:
    run: Run
    """A run folder with a trained tokenizer and its codes."""
    json: bool = False
    """Print the results as one JSON object."""


def main(arguments: Sequence[str]) -> int:
    """Train the missing coders, and print the bits per code."""
    chosen = parse(Arguments, "train-coder", arguments, DESCRIPTION)
    say(train_coder(chosen.run), chosen.json)
    return 0
