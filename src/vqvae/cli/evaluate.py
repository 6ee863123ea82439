"""``vqvae evaluate RUN``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import tyro

from vqvae import pipeline
from vqvae.cli.arguments import note, parse, say
from vqvae.config import settings
from vqvae.data import read_phones, recordings_of
from vqvae.evaluation.speech.scores import score_phonemes, spoken_codes
from vqvae.runs.folder import REPORT, stored_data
from vqvae.runs.scores import evaluate, score
from vqvae.training import RunOptions
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder."""
    data: str | None = None
    """Other data of the same kind: its held-out part is scored, and nothing in the run folder changes."""
    phones: Path | None = None
    """Of speech: who says which phone when, as .jsonl or TextGrids, for data that does not say so itself."""
    phones_source: str = "the given alignments"
    """Where these labels come from, to stand beside every score."""
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
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    if chosen.phones is not None:
        say(phones(chosen), chosen.json)
        return 0
    if chosen.data is None:
        say(evaluate(chosen.run, stored_data(chosen.run).held_out, options), chosen.json)
        note(f"The report is {chosen.run / REPORT}.")
        return 0
    model = pipeline.load(chosen.run, pick_device(chosen.device))
    say(score(model, stored_data(chosen.run, chosen.data).held_out).scores, chosen.json)
    return 0


def phones(chosen: Arguments) -> dict[str, Any]:
    """How well the codes of held-out recordings tell the phones of an alignment.

    Raises:
        DataError: the data is no recordings, or no recording has an alignment.
    """
    assert chosen.phones is not None
    model = pipeline.load(chosen.run, pick_device(chosen.device))
    held_out = recordings_of(stored_data(chosen.run, chosen.data).held_out)
    clips = spoken_codes(model, held_out, read_phones(chosen.phones, strip_stress=True))
    return score_phonemes(clips, model, held_out.rate, chosen.phones_source)
