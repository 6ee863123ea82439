"""``vqvae reconstruct RUN FILE...``."""

from collections.abc import Sequence

from vqvae import pipeline
from vqvae.cli.arguments import note, parse, say, say_table
from vqvae.cli.files import check_folder, reconstruct_file
from vqvae.cli.values import Checkpoint, Device, Files, Folder, Name, Range, Run
from vqvae.config import settings
from vqvae.disk import check_outputs
from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import kind_of
from vqvae.progress import tracked
from vqvae.reports.measures import in_words, measure
from vqvae.runs.bounds import bounds_of
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: Run
    """The run folder."""
    files: Files
    """Files of the kind that the model was trained on: pictures of any size, in colour or grey; recordings of any length and sample rate;
    clips; or arrays."""
    out: Folder
    """Folder for the reconstructions: PNG, WAV, GIF or NPY files with the names of the inputs."""
    speaker: Name = None
    """The speaker whose voice is used, by name or number, if the decoder has speakers."""
    bounds: Range = None
    """The range of float data: the values of black and white in pictures, or of the lowest and the highest level in arrays. Default: as in
    training."""
    json: bool = False
    """Print the results as one JSON object."""
    overwrite: bool = False
    """Replace existing files. Folders and inputs are never replaced."""
    checkpoint: Checkpoint = None
    """Use a checkpoint of the tokenizer instead of the finished one: "best", or the number of a step."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""


def main(arguments: Sequence[str]) -> int:
    """Encode and decode files, and print the score of each result: the PSNR (dB) of a picture or a clip, the log-mel distance (dB) of a
    recording, the root mean squared error of an array."""
    chosen = parse(Arguments, "reconstruct", arguments, "Encode files to codes and decode them again.")
    if not chosen.files:
        raise ConfigError("No files were given: vqvae reconstruct RUN FILE... --out FOLDER")
    model = pipeline.load(chosen.run, pick_device(chosen.device), checkpoint=chosen.checkpoint)
    check_folder(chosen.out)
    suffix = kind_of(model.signal).suffixes[0]
    places = [chosen.out / f"{file.stem}{suffix}" for file in chosen.files]
    check_outputs(places, chosen.files, overwrite=chosen.overwrite)
    pairs = tracked(list(zip(chosen.files, places, strict=True)), "reconstructing files", len(places))
    bounds = bounds_of(chosen.run, chosen.bounds, kind_of(model.signal))
    found = {str(file): reconstruct_file(file, model, chosen.speaker, place, bounds) for file, place in pairs}
    if chosen.json:
        say(found, as_json=True)
        return 0
    score = kind_of(model.signal).measure
    say_table([(file, " ".join((measure(score).title, *in_words(score, value))).rstrip()) for file, value in found.items()])
    note(f"The reconstructions are in {chosen.out}.")
    return 0
