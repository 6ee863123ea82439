"""``vqvae evaluate RUN``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import note, parse, say
from vqvae.recipes.stages import REPORT, evaluate, score, stored_data
from vqvae.training import RunOptions
from vqvae.training.machine import pick_device


@dataclass(frozen=True, kw_only=True)
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder."""
    data: str | None = None
    """Other data of the same kind: its held-out part is scored, and nothing in the run folder changes."""
    json: bool = False
    """Print one JSON object."""
    device: str = "auto"
    """"auto", "cpu", "cuda", ..."""
    threads: int | None = None
    """CPU threads; None leaves it to torch."""


def main(arguments: Sequence[str]) -> int:
    """Score a run on held-out data: its own, then metrics.json and the report are written anew, or other data."""
    chosen = parse(Arguments, "evaluate", arguments, "Score a run on held-out data.")
    options = RunOptions(device=chosen.device, threads=chosen.threads)
    if chosen.data is None:
        say(evaluate(chosen.run, stored_data(chosen.run).held_out, options), chosen.json)
        note(f"The report is {chosen.run / REPORT}.")
        return 0
    model = pipeline.load(chosen.run, pick_device(chosen.device))
    say(score(model, stored_data(chosen.run, chosen.data).held_out).scores, chosen.json)
    return 0
