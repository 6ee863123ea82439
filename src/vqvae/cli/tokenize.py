"""``vqvae tokenize RUN DATA --out DIR``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vqvae.cli.arguments import note, parse, say
from vqvae.cli.files import check_folder
from vqvae.cli.values import Checkpoint, Device, Folder, Name, Range, Run
from vqvae.config import settings
from vqvae.runs.tokenizing import SHARD_SIZE, tokenize
from vqvae.tokenization.plan import MANIFEST
from vqvae.words import counted

_SHOWN = 5


@settings
class Arguments:
    run: Run
    """The run folder."""
    data: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="DATA")] = None
    """A folder of files, of WebDataset tars or of Parquet files, a data set saved by Hugging Face datasets, or one such file. Default: the
    data that the run was trained on."""
    out: Folder
    """The folder of the shards. If it has some of them, the others are written."""
    engine: Literal["local", "ray"] = "local"
    """"local": processes on this machine. "ray": Ray Data, on this machine or on the cluster that RAY_ADDRESS names."""
    workers: int | None = None
    """Number of processes or actors, each with one thread. Default: one for each core, or one on a GPU."""
    shard_size: int = SHARD_SIZE
    """Number of items in a shard."""
    format: Literal["parquet", "webdataset"] = "parquet"
    """The format of the shards."""
    side: Literal["train", "held-out"] = "train"
    """The side of the run's own data, if no other data is given."""
    column: Name = None
    """The column of a table that has the data. Default: the only one that can have it."""
    label_column: Name = None
    """The column of a table that has the labels. Default: label."""
    size: int | None = None
    """Height and width that pictures are cropped and resized to. Default: their own."""
    bounds: Range = None
    """The range of float data: the values of black and white in pictures, or of the lowest and the highest level in arrays. Default: as in
    training."""
    json: bool = False
    """Print the results as one JSON object."""
    checkpoint: Checkpoint = None
    """Use a checkpoint of the tokenizer instead of the finished one: "best", or the number of a step."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""


def main(arguments: Sequence[str]) -> int:
    """Write the codes of a whole data set to shards."""
    chosen = parse(
        Arguments, "tokenize", arguments, "Write the codes of a whole data set to shards. After a stop, the same command continues."
    )
    check_folder(chosen.out)
    manifest = tokenize(
        *(chosen.run, chosen.data, chosen.out),
        engine=chosen.engine,
        workers=chosen.workers,
        shard_size=chosen.shard_size,
        format=chosen.format,
        side=chosen.side,
        column=chosen.column,
        label_column=chosen.label_column,
        size=chosen.size,
        bounds=chosen.bounds,
        checkpoint=chosen.checkpoint,
        device=chosen.device,
    )
    bad = manifest["bad"]
    for one in bad[:_SHOWN]:
        note(f"Left out: {one['error']}" if one["id"] in one["error"] else f"Left out: {one['id']}: {one['error']}")
    if len(bad) > _SHOWN:
        note(f"{chosen.out / MANIFEST} lists the other {len(bad) - _SHOWN:,}.")
    if chosen.json:
        say({"items": manifest["items"], "bad": len(bad), "shards": len(manifest["shards"])}, as_json=True)
    note(f"The codes of {counted(manifest['items'], 'items')} are in {chosen.out}, in {counted(len(manifest['shards']), 'shards')}.")
    return 0 if manifest["items"] else 1
