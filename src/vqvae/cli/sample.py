"""``vqvae sample RUN``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.pictures import write_images
from vqvae.training.machine import pick_device


@dataclass(frozen=True, kw_only=True)
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder, with a trained prior in it."""
    out: Path
    """NAME.png for one picture of all samples, NAME.npy for an array uint8 (count, channels, height, width), else a folder of PNG files."""
    count: int = 16
    """How many."""
    seed: int = 0
    """The same seed gives the same samples."""
    label: str | None = None
    """A class by name or number, for a class-conditional prior."""
    temperature: float = 1.0
    """Divides the logits of the codes; 0 takes the likeliest code each time."""
    top_k: int | None = None
    """Draw only from the k likeliest codes."""
    top_p: float | None = None
    """Draw only from the likeliest codes that hold this share of the probability."""
    device: str = "auto"
    """"auto", "cpu", "cuda", ..."""


def main(arguments: Sequence[str]) -> int:
    """Draw images from the prior and write them."""
    chosen = parse(Arguments, "sample", arguments, "Draw new images: codes from the prior, pixels from the decoder.")
    model = pipeline.load(chosen.run, pick_device(chosen.device))
    images = model.sample(
        chosen.count,
        seed=chosen.seed,
        label=chosen.label,
        temperature=chosen.temperature,
        top_k=chosen.top_k,
        top_p=chosen.top_p,
    )
    write_images(images, chosen.out, [f"sample-{i:05d}" for i in range(chosen.count)])
    note(f"{chosen.count} samples are in {chosen.out}.")
    return 0
