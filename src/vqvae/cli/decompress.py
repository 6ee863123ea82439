"""``vqvae decompress RUN FILE.vqz... --out FOLDER``."""

from collections.abc import Sequence

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.compressed import check_file, decompress_file, suffix_of
from vqvae.cli.files import check_folder
from vqvae.cli.values import Checkpoint, Device, Files, Folder, Name, Run
from vqvae.config import settings
from vqvae.disk import check_outputs
from vqvae.errors import ConfigError
from vqvae.evaluation.kinds import kind_of
from vqvae.progress import tracked
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: Run
    """The run folder of the model that compressed the files."""
    files: Files
    """Files from 'vqvae compress'."""
    out: Folder
    """Folder for the restored files: PNG, WAV, MP4 or NPY."""
    speaker: Name = None
    """The speaker whose voice is used, by name or number, if the decoder has speakers. Default: the speaker that the file names."""
    overwrite: bool = False
    """Replace existing files. Folders and inputs are never replaced."""
    checkpoint: Checkpoint = None
    """Use a checkpoint of the tokenizer instead of the finished one: "best", or the number of a step."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""


def main(arguments: Sequence[str]) -> int:
    """Restore compressed files."""
    chosen = parse(Arguments, "decompress", arguments, "Restore the files that 'vqvae compress' wrote.")
    if not chosen.files:
        raise ConfigError("No files were given: vqvae decompress RUN FILE.vqz... --out FOLDER")
    model = pipeline.load(chosen.run, pick_device(chosen.device), checkpoint=chosen.checkpoint)
    check_folder(chosen.out)
    places = [chosen.out / f"{file.stem}{suffix_of(kind_of(model.signal))}" for file in chosen.files]
    check_outputs(places, chosen.files, overwrite=chosen.overwrite)
    for file in chosen.files:  # All headers are checked before the first file is written.
        check_file(file, model)
    for file, place in tracked(list(zip(chosen.files, places, strict=True)), "decompressing files", len(places)):
        decompress_file(file, model, place, chosen.speaker)
    note(f"The restored files are in {chosen.out}.")
    return 0
