"""``vqvae reproduce EXPERIMENT``."""

import json
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated

import tyro

from vqvae.cli.arguments import note, parse
from vqvae.cli.settings import Options
from vqvae.cli.values import Data, Folder
from vqvae.config import settings
from vqvae.experiments.base import Scale
from vqvae.experiments.reproduce import EXPERIMENTS, reproduce
from vqvae.training import RunOptions

DESCRIPTION = "Train and score an experiment of the paper and write its table: " + "; ".join(
    experiment.title for experiment in EXPERIMENTS.values()
)


@settings
class Arguments:
    experiment: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="EXPERIMENT")]
    """e1 to e9, or e11."""
    scale: Scale = "cpu"
    """"cpu" fits two cores; "paper" has the paper's sizes and wants a GPU. Either may be stopped and started again."""
    data: Data = None
    """Where the data lies: photographs with train/CLASS/ and val/CLASS/ for e2 and e3; for e1 and e11
    the folder of CIFAR-10's binary files, which are downloaded where it is left out; for e4 and e5 the folder that keeps the frames; for e8
    LibriSpeech, and VCTK for e6 and e7 at paper scale; e9 takes LibriSpeech, too. Where e6, e7 and e9 are given nothing eSpeak speaks."""
    out: Folder = Path("docs/results")
    """The folder for NAME.md, NAME.json and the pictures."""
    runs: Folder = Path("runs")
    """The folder for the run folders."""
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Reproduce one experiment; print its record as JSON."""
    chosen = parse(Arguments, "reproduce", arguments, DESCRIPTION)
    record = reproduce(chosen.experiment, chosen.scale, data=chosen.data, results=chosen.out, runs=chosen.runs, options=chosen.options)
    note(f"The table is {chosen.out / record['name']}.md.")
    print(json.dumps(record))
    return 0
