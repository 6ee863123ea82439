"""``vqvae sample RUN``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.pictures import check_suffix, write_images
from vqvae.cli.sounds import check_folder, write_sounds
from vqvae.errors import ConfigError
from vqvae.training.machine import pick_device


@dataclass(frozen=True, kw_only=True)
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder, with a trained prior in it."""
    out: Path
    """Of images NAME.png for one picture of all samples, NAME.npy for an array uint8 (count, channels, height, width), else a folder of
    PNG files. Of speech a folder of WAV files."""
    count: int = 16
    """How many."""
    seed: int = 0
    """The same seed gives the same samples."""
    seconds: float | None = None
    """Of speech, how long each is; as long as the examples it was trained on where it is left out."""
    label: str | None = None
    """A class or a speaker by name or number, where the prior or the decoder takes one."""
    temperature: float = 1.0
    """Divides the logits of the codes; 0 takes the likeliest code each time."""
    top_k: int | None = None
    """Draw only from the k likeliest codes."""
    top_p: float | None = None
    """Draw only from the likeliest codes that hold this share of the probability."""
    device: str = "auto"
    """"auto", "cpu", "cuda", ..."""


def main(arguments: Sequence[str]) -> int:
    """Draw images or speech from the prior and write them."""
    chosen = parse(Arguments, "sample", arguments, "Draw new images or speech: codes from the prior, data from the decoder.")
    model = pipeline.load(chosen.run, pick_device(chosen.device))
    if chosen.seconds is not None and (model.rate is None or not chosen.seconds > 0):
        raise ConfigError(f"--seconds is {chosen.seconds}; it must be positive, and is for models of speech.")
    (check_suffix if model.rate is None else check_folder)(chosen.out)
    drawn = model.sample(
        chosen.count,
        seed=chosen.seed,
        label=chosen.label,
        temperature=chosen.temperature,
        top_k=chosen.top_k,
        top_p=chosen.top_p,
        size=None if chosen.seconds is None or model.rate is None else (round(chosen.seconds * model.rate),),
    )
    names = [f"sample-{i:05d}" for i in range(chosen.count)]
    if model.rate is None:
        write_images(drawn, chosen.out, names)
    else:
        write_sounds(drawn, model.rate, chosen.out, names)
    note(f"{chosen.count} samples are in {chosen.out}.")
    return 0
