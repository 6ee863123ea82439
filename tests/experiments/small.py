"""What the tests of experiments share."""

from pathlib import Path

from vqvae.experiments.base import Job
from vqvae.experiments.reproduce import EXPERIMENTS
from vqvae.training import RunOptions

OPTIONS = RunOptions(device="cpu", threads=1, checkpoint_every=0)


def job(name: str, run: Path, results: Path) -> Job:
    """A call of an experiment at CPU scale."""
    return Job(run=run, scale="cpu", data=None, options=OPTIONS, results=results, name=name, title=EXPERIMENTS[name].title)
