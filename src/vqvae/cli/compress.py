"""``vqvae compress RUN FILE... --out FOLDER``."""

from collections.abc import Sequence

from vqvae import pipeline
from vqvae.cli.arguments import note, parse, say, say_table
from vqvae.cli.compressed import compress_file
from vqvae.cli.files import check_folder
from vqvae.cli.values import Checkpoint, Device, Files, Folder, Mode, Name, Range, Run
from vqvae.codec.container import SUFFIX
from vqvae.codec.integer_coder import PriorCoder
from vqvae.codec.static import StaticCoder
from vqvae.config import settings
from vqvae.disk import check_outputs
from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import kind_of
from vqvae.pipeline.compression import coders_of
from vqvae.progress import tracked
from vqvae.runs.bounds import bounds_of
from vqvae.runs.coder import fit_if_missing
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: Run
    """The run folder."""
    files: Files
    """Files of the kind that the model was trained on: pictures of any size, recordings of any length, clips, or arrays."""
    out: Folder
    """Folder for the compressed files, NAME.vqz."""
    mode: Mode = None
    """The entropy coder. "prior": the smallest files. "static": faster. "packed": larger. The first two need RUN/coder, which is
    trained if it is missing. Default: the mode with the smallest files that the run has a coder for."""
    label: Name = None
    """Name or number of the speaker or the class, if the model has any. It is stored in the file."""
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
    """Compress files, and print the size of each."""
    chosen = parse(Arguments, "compress", arguments, "Compress files. 'vqvae decompress' with the same run restores them.")
    if not chosen.files:
        raise ConfigError("No files were given: vqvae compress RUN FILE... --out FOLDER")
    if chosen.mode in (StaticCoder.name, PriorCoder.name) and chosen.checkpoint is None:
        fit_if_missing(chosen.run)
    model = pipeline.load(chosen.run, pick_device(chosen.device), checkpoint=chosen.checkpoint)
    check_folder(chosen.out)
    places = [chosen.out / f"{file.stem}{SUFFIX}" for file in chosen.files]
    check_outputs(places, chosen.files, overwrite=chosen.overwrite)
    coders, label = coders_of(model, chosen.mode), model.stored_label(chosen.label)
    bounds = bounds_of(chosen.run, chosen.bounds, kind_of(model.signal))
    pairs = tracked(list(zip(chosen.files, places, strict=True)), "compressing files", len(places))
    sizes = {str(place): compress_file(file, model, place, coders, label, bounds) for file, place in pairs}
    if chosen.json:
        say(sizes, as_json=True)
        return 0
    say_table([(place, f"{size:,} bytes") for place, size in sizes.items()])
    note(f"The compressed files are in {chosen.out}. Restore them: vqvae decompress {chosen.run} {chosen.out}/*{SUFFIX} --out FOLDER")
    return 0
