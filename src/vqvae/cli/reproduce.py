"""``vqvae reproduce EXPERIMENT``."""

import json
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated

import tyro

from vqvae.cli.arguments import note, parse
from vqvae.cli.settings import Options
from vqvae.cli.values import Folder
from vqvae.config import settings
from vqvae.experiments.base import Scale
from vqvae.experiments.reproduce import EXPERIMENTS, reproduce
from vqvae.training import RunOptions

DESCRIPTION = "\n".join(
    ["Train and score an experiment of the paper, and write its table.", "", *(f"- {one.title}" for one in EXPERIMENTS.values())]
)


@settings
class Arguments:
    experiment: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="EXPERIMENT")]
    """e1 to e11."""
    scale: Scale = "cpu"
    """"cpu" fits two CPU cores. "paper" has the sizes of the paper and needs a GPU. A stopped experiment continues when it is run again."""
    data: str | None = field(default=None, metadata={"value": "FOLDER"})
    """The folder of the data. e1, e11: binary files of CIFAR-10; they are downloaded by default. e2, e3: photographs in train/CLASS/ and
    val/CLASS/. e4, e5, e10: the folder for rendered frames, by default the user's cache. e6, e7: VCTK, only for --scale paper; at scale
    cpu, eSpeak speaks. e8: LibriSpeech. e9: LibriSpeech; by default, eSpeak speaks."""
    out: Folder = Path("docs/results")
    """Folder for the table (NAME.md and NAME.json) and the pictures."""
    runs: Folder = Path("runs")
    """Folder for the run folders."""
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Reproduce one experiment; print its record as JSON."""
    chosen = parse(Arguments, "reproduce", arguments, DESCRIPTION)
    record = reproduce(chosen.experiment, chosen.scale, data=chosen.data, results=chosen.out, runs=chosen.runs, options=chosen.options)
    note(f"The table is {chosen.out / record['name']}.md.")
    print(json.dumps(record))
    return 0
