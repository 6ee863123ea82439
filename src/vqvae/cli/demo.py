"""``vqvae demo``."""

import dataclasses
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vqvae.cli.arguments import note, parse, say
from vqvae.cli.kinds import prior_kind
from vqvae.cli.serve import serve
from vqvae.cli.settings import Options
from vqvae.cli.values import Minutes
from vqvae.config import SEED, settings
from vqvae.disk import exists
from vqvae.pipeline import TOKENIZER
from vqvae.recipes import RECIPES
from vqvae.recipes.video import from_pictures
from vqvae.runs.folder import REPORT, read_metrics
from vqvae.runs.stages import train_both
from vqvae.serving.settings import ServeOptions
from vqvae.training import RunOptions

DESCRIPTION = "Make data, train a tokenizer and a prior on it, score both, and draw samples."
DEMOS = {"images": ("demo", "runs/demo"), "speech": ("speech-demo", "runs/demo-speech"), "video": ("video-demo", "runs/demo-video")}
"""The recipe and the run folder of each demo."""


@settings
class Arguments:
    modality: Literal["images", "speech", "video"] = "images"
    """"images": frames of a ViZDoom world. "speech": sentences in eSpeak's voices. "video": clips of the ViZDoom world, with actions; the
    tokenizer starts from the one in runs/demo, if there is one."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """The run folder. Default: runs/demo, runs/demo-speech or runs/demo-video."""
    data: str | None = field(default=None, metadata={"value": "FOLDER"})
    """Images and video: the folder for the rendered frames (default: the user's cache). Speech: a folder of your own recordings
    (default: sentences in eSpeak's voices)."""
    steps: int | None = None
    """Training steps of each stage. Default: those of the recipe."""
    prior: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """The kind of prior: pixelcnn, wavenet, world, masked or transformer. Default: that of the recipe."""
    minutes: Minutes = None
    """Time limit for both stages together, in minutes. Default: the number of steps decides."""
    seed: int = field(default=0, metadata=SEED)
    """Seed of both stages."""
    json: bool = False
    """Print the scores as one JSON object."""
    open: bool = False
    """At the end, serve the run and open its page in a browser."""
    options: Options = field(default_factory=RunOptions)


def main(arguments: Sequence[str]) -> int:
    """Run a demo, from the data to the report."""
    chosen = parse(Arguments, "demo", arguments, DESCRIPTION)
    recipe, folder = DEMOS[chosen.modality]
    run = chosen.out or Path(folder)
    if chosen.data is not None and chosen.modality == "speech":
        recipe = "speech"
    config = RECIPES[recipe].tokenizer(chosen.data)
    pictures = Path(DEMOS["images"][1])
    if chosen.modality == "video" and exists(pictures / TOKENIZER):
        config = from_pictures(config, pictures)
    config = dataclasses.replace(config, steps=chosen.steps or config.steps, minutes=chosen.minutes, seed=chosen.seed)
    kind = None if chosen.prior is None else prior_kind(chosen.prior)
    train_both(config, chosen.options, run, recipe=recipe, prior_kind=kind, prior_steps=chosen.steps)
    say(read_metrics(run), chosen.json)
    note(f"Open {run / REPORT} in a browser. It shows reconstructions, samples, learning curves and scores.")
    if chosen.open:
        serve([run], "127.0.0.1", 0, None, chosen.options.device, ServeOptions(), open_page=True)
    else:
        note(f"Look, listen and play: vqvae serve {run} --open")
    return 0
