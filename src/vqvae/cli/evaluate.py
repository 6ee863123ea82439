"""``vqvae evaluate RUN``."""

from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from vqvae import pipeline
from vqvae.cli.arguments import note, parse, say
from vqvae.cli.values import Checkpoint, Data, Device, Name, Range, Run
from vqvae.config import THREADS, settings
from vqvae.data import read_phones, recordings_of
from vqvae.evaluation.speech.scores import score_phonemes, spoken_codes
from vqvae.runs.bounds import check_range
from vqvae.runs.folder import REPORT, is_own, keep_place, scores_folder, stored_data
from vqvae.runs.scores import evaluate, score
from vqvae.storage import hub
from vqvae.training import RunOptions
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: Run
    """The run folder."""
    data: Data = None
    """Score on this data: the data of the run at its new place, or other data of the same kind. Other data changes nothing in the run
    folder. Default: the data of the run."""
    bounds: Range = None
    """The range of float data. Another range than in training changes nothing in the run folder. Default: as in training."""
    prior_name: Name = None
    """Name of the prior to score. Its scores and its report go to RUN/scores/NAME. Default: the prior without a name, or the only one."""
    beside: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Another run. The report shows its scores and pictures beside these."""
    phones: Path | None = None
    """For speech: alignments of phones, as .jsonl or TextGrid files. Prints how well codes predict phones, and nothing else."""
    phones_source: str = "the given alignments"
    """Source of the alignments. The scores name it."""
    json: bool = False
    """Print the results as one JSON object."""
    checkpoint: Checkpoint = None
    """Use a checkpoint of the tokenizer instead of the finished one: "best", or the number of a step. The scores are only printed."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""
    threads: int | None = field(default=None, metadata=THREADS)
    """CPU threads. None: torch's default."""


def main(arguments: Sequence[str]) -> int:
    """Score a run on held-out data. On the run's own data, this rewrites metrics.json and the report."""
    chosen = parse(Arguments, "evaluate", arguments, "Score a run on held-out data.")
    options = RunOptions(device=chosen.device, threads=chosen.threads)
    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    if chosen.phones is not None:
        say(phones(chosen), chosen.json)
        return 0
    if chosen.bounds is not None:
        check_range(chosen.bounds)
    splits = stored_data(chosen.run, chosen.data, bounds=chosen.bounds)
    is_stored = chosen.data is None and chosen.bounds is None
    # A model on the Hub does not change: its scores are only printed.
    if chosen.checkpoint is None and hub.cached_name(chosen.run) is None and (is_stored or is_own(chosen.run, splits)):
        if chosen.data is not None:
            keep_place(chosen.run, chosen.data)
        say(evaluate(chosen.run, splits.held_out, options, prior=chosen.prior_name, beside=chosen.beside), chosen.json)
        note(f"The report is {scores_folder(chosen.run, chosen.prior_name) / REPORT}.")
        return 0
    model = pipeline.load(chosen.run, pick_device(chosen.device), prior=chosen.prior_name, checkpoint=chosen.checkpoint)
    say(score(model, splits.held_out).scores, chosen.json)
    return 0


def phones(chosen: Arguments) -> dict[str, Any]:
    """How well the codes of held-out recordings predict the phones of an alignment.

    Raises:
        DataError: if the data has no recordings, or no recording has an alignment.
    """
    assert chosen.phones is not None
    model = pipeline.load(chosen.run, pick_device(chosen.device), checkpoint=chosen.checkpoint)
    held_out = recordings_of(stored_data(chosen.run, chosen.data).held_out)
    clips = spoken_codes(model, held_out, read_phones(chosen.phones, strip_stress=True))
    return score_phonemes(clips, model, held_out.rate, chosen.phones_source)
