"""``vqvae decode RUN TOKENS... --out FOLDER``."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.files import check_folder, write_file
from vqvae.cli.values import Checkpoint, Device, Files, Folder, Name, Run
from vqvae.codes import Codes, space_of
from vqvae.config import settings
from vqvae.disk import check_outputs, safe_name, safe_names
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.kinds import kind_of
from vqvae.media.tokens import TokenLayout, Tokens, read_tokens
from vqvae.pipeline import Pipeline
from vqvae.training.machine import pick_device


@settings
class Arguments:
    run: Run
    """The run folder of the model that encoded the files."""
    tokens: Files
    """Files of tokens from 'vqvae encode'."""
    out: Folder
    """Folder for the decoded files: PNG, WAV, GIF or NPY, with the names and sub-folders of the encoded files."""
    speaker: Name = None
    """The speaker whose voice is used, by name or number, if the decoder has speakers."""
    overwrite: bool = False
    """Replace existing files. Folders and inputs are never replaced."""
    checkpoint: Checkpoint = None
    """Use a checkpoint of the tokenizer instead of the finished one: "best", or the number of a step."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""


def main(arguments: Sequence[str]) -> int:
    """Decode tokens, and write one file for each encoded file."""
    chosen = parse(Arguments, "decode", arguments, "Turn the tokens of 'vqvae encode' back into files.")
    if not chosen.tokens:
        raise ConfigError("No files were given: vqvae decode RUN tokens.npz --out FOLDER")
    model = pipeline.load(chosen.run, pick_device(chosen.device), checkpoint=chosen.checkpoint)
    check_folder(chosen.out)
    layout = tuple((one.num_codebooks, one.codebook_size) for one in model.layout)
    rows: list[tuple[Tokens, TokenLayout, Path]] = []
    for path in chosen.tokens:
        found, tokens = read_tokens(path)
        if found.levels != layout:
            raise DataError(
                f"{path} has levels of (codebooks, codes) {found.levels}, but {chosen.run} has {layout}. Give the run that encoded it."
            )
        rows += [(one, found, path) for one in tokens]
    suffix = kind_of(model.signal).suffixes[0]
    names = [chosen.out / f"{name}{suffix}" for name in _places([row.name for row, _, _ in rows])]
    check_outputs(names, chosen.tokens, overwrite=chosen.overwrite)
    codes = [_codes(row, of, path, model) for row, of, path in rows]  # All are checked before the first file is written.
    for (row, _, _), levels, place in zip(rows, codes, names, strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_file(place, [model.decode(levels, row.size, chosen.speaker)], model.signal)
    note(f"{len(rows)} files are in {chosen.out}.")
    return 0


def _places(names: Sequence[str]) -> list[str]:
    """The paths of files with these names below the folder, without suffixes. No name leads outside the folder."""
    folders = ["/".join(map(safe_name, PurePosixPath(name).parts[:-1])) for name in names]
    stems: dict[int, str] = {}
    for folder in dict.fromkeys(folders):
        rows = [row for row, of in enumerate(folders) if of == folder]
        stems |= zip(rows, safe_names(PurePosixPath(names[row]).stem for row in rows), strict=True)
    return [f"{folder}/{stems[row]}" if folder else stems[row] for row, folder in enumerate(folders)]


def _codes(row: Tokens, layout: TokenLayout, path: Path, model: Pipeline) -> Codes:
    """The codes of one file, (1, codebooks, *space) for each level.

    Raises:
        DataError: if the tokens are not codes of this model, or do not fit the size of the file.
    """
    where = f"{path}: {row.name}"
    levels = layout.to_codes(row.levels, where)
    for codes, level in zip(levels, model.layout, strict=True):
        expected = space_of(row.size, level.stride, level.lead)
        if len(row.size) != len(level.stride) or codes.shape[1:] != expected or 0 in row.size:
            raise DataError(f"{where} has {codes.shape[1:]} codes for data of the size {row.size}; {expected} are expected.")
    return Codes(torch.from_numpy(codes)[None] for codes in levels)
