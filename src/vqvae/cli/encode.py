"""``vqvae encode RUN FILE|FOLDER... --out TOKENS``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.values import Checkpoint, Device, File, Files, Range, Run
from vqvae.config import settings
from vqvae.data.base import Batch
from vqvae.data.files import find_files, report_bad
from vqvae.disk import check_outputs
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.kinds import Bounds, Kind, kind_of, whole
from vqvae.media.tokens import TokenLayout, Tokens, check_suffix, write_tokens
from vqvae.pipeline import Pipeline
from vqvae.progress import tracked
from vqvae.runs.bounds import bounds_of
from vqvae.training.machine import pick_device
from vqvae.words import counted


@settings
class Arguments:
    run: Run
    """The run folder."""
    files: Files
    """Files, or folders of files, of the kind that the model was trained on."""
    out: File
    """The file for the tokens: NAME.npz, NAME.jsonl or NAME.parquet."""
    offset: int | None = None
    """The first token in another vocabulary. From there on, each codebook gets its own range of tokens. Default: tokens are codes."""
    bounds: Range = None
    """The range of float data: the values of black and white in pictures, or of the lowest and the highest level in arrays. Default: as in
    training."""
    skip_bad: bool = False
    """List files that cannot be read and continue without them."""
    overwrite: bool = False
    """Replace an existing file."""
    checkpoint: Checkpoint = None
    """Use a checkpoint of the tokenizer instead of the finished one: "best", or the number of a step."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""


def main(arguments: Sequence[str]) -> int:
    """Write the codes of files as tokens, with their names and shapes."""
    chosen = parse(Arguments, "encode", arguments, "Write the codes of files as tokens, with their names and shapes.")
    if not chosen.files:
        raise ConfigError("No files were given: vqvae encode RUN FILE|FOLDER... --out tokens.npz")
    check_suffix(chosen.out)
    model = pipeline.load(chosen.run, pick_device(chosen.device), checkpoint=chosen.checkpoint)
    layout = TokenLayout(levels=tuple((one.num_codebooks, one.codebook_size) for one in model.layout), offset=chosen.offset)
    named = _named(chosen.files, kind_of(model.signal))
    check_outputs([chosen.out], [path for _, path in named], overwrite=chosen.overwrite)
    bounds = bounds_of(chosen.run, chosen.bounds, kind_of(model.signal))
    count = write_tokens(chosen.out, _encoded(named, model, layout, chosen.skip_bad, bounds), layout)
    note(f"The tokens of {counted(count, 'files')} are in {chosen.out}. Decode them: vqvae decode {chosen.run} {chosen.out} --out FOLDER")
    return 0


def _named(places: Sequence[Path], kind: Kind) -> list[tuple[str, Path]]:
    """Each file with its name: its path within the given folder, or its own name if the file itself was given.

    Raises:
        DataError: if a file or folder does not exist, or a folder contains no such files.
    """
    found: list[tuple[str, Path]] = []
    for place in places:
        if place.is_dir():
            inside = find_files(place, kind.inputs)
            if not inside:
                raise DataError(f"{place} holds no {kind.name} ({', '.join(kind.inputs)}), nor do its sub-folders.")
            found += [(name, place / name) for name in inside]
        elif place.exists():
            found.append((place.name, place))
        else:
            raise DataError(f"There is no file or folder {place}.")
    return found


def _encoded(named: Sequence[tuple[str, Path]], model: Pipeline, layout: TokenLayout, skip: bool, bounds: Bounds) -> Iterator[Tokens]:
    """The tokens of each file. Each file is encoded alone, so its tokens do not depend on the other files.

    Raises:
        DataError: if a file cannot be read and may not be skipped, or if none can be read.
    """
    kind, bad = kind_of(model.signal), 0
    for name, path in tracked(named, "encoding files", len(named)):
        try:
            data = whole(kind.read(path, model.signal, bounds))
            codes = [level[0].numpy() for level in model.encode_batch(Batch(data))]
        except DataError as error:
            report_bad({name: str(error)}, len(named), kind.name, skip)
            bad += 1
            continue
        yield Tokens(name=name, size=tuple(data.shape[2:]), levels=tuple(layout.to_tokens(codes)))
    if bad == len(named):
        raise DataError("None of the files can be read, so there are no tokens.")
