"""``vqvae sample RUN``."""

from collections.abc import Sequence
from dataclasses import field

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.files import check_samples, sample_files, write_samples
from vqvae.cli.values import Device, Folder, Name, Run, Seconds
from vqvae.config import SEED, settings
from vqvae.disk import check_outputs
from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import kind_of
from vqvae.pipeline import Pipeline
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: Run
    """A run folder with a trained prior."""
    out: Folder
    """A folder for one file per sample: PNG for pictures, WAV for sound, GIF for clips, NPY for arrays. NAME.npy: one array (count,
    channels, axes ...). NAME.png: one picture of all samples."""
    count: int = 16
    """Number of samples."""
    seed: int = field(default=0, metadata=SEED)
    """The same seed gives the same samples."""
    seconds: Seconds = None
    """Length of each sample in seconds, for data over time. Default: the length of a training example."""
    label: Name = None
    """Class or speaker, by name or number, if the model was trained with classes or speakers."""
    prior_name: Name = None
    """Name of the prior, if the run has several. Default: the prior without a name, or the only one."""
    temperature: float = 1.0
    """Divides the logits of the codes. Below 1, likely codes become more likely. 0: always the most likely code."""
    top_k: int | None = None
    """Draw only from the k most likely codes. Default: all codes."""
    top_p: float | None = None
    """Draw only from the most likely codes that together have this share of the probability, from 0 to 1. Default: all codes."""
    overwrite: bool = False
    """Replace existing files. Folders are never replaced."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""


def main(arguments: Sequence[str]) -> int:
    """Draw data from the prior and write it."""
    chosen = parse(Arguments, "sample", arguments, "Draw new data: codes from the prior, data from the decoder.")
    model = pipeline.load(chosen.run, pick_device(chosen.device), prior=chosen.prior_name)
    size = size_of(model, chosen.seconds)
    kind, names = kind_of(model.signal), [f"sample-{i:05d}" for i in range(chosen.count)]
    check_samples(chosen.out, kind)
    check_outputs(sample_files(chosen.out, names, kind), overwrite=chosen.overwrite)
    drawn = model.sample(
        chosen.count,
        seed=chosen.seed,
        label=chosen.label,
        temperature=chosen.temperature,
        top_k=chosen.top_k,
        top_p=chosen.top_p,
        size=size,
    )
    write_samples(drawn, chosen.out, names, model.signal)
    note(f"{chosen.count} samples are in {chosen.out}.")
    return 0


def size_of(model: Pipeline, seconds: float | None) -> tuple[int, ...] | None:
    """The size of samples of this length; None if no length is given.

    Raises:
        ConfigError: if the data has no time axis, or the length is not positive.
    """
    if seconds is None:
        return None
    signal, size = model.signal, model.size
    if not signal.sample_rate or size is None or not seconds > 0:
        raise ConfigError(f"--seconds is {seconds}; it takes a positive number, and a model of data over time, such as speech.")
    positions = round(seconds * signal.sample_rate)
    return tuple(positions if axis == "time" else length for axis, length in zip(signal.axes, size, strict=True))
