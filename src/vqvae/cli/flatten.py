"""``vqvae flatten DIR --out NAME.bin``."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import tyro

from vqvae.cli.arguments import note, parse
from vqvae.cli.values import File
from vqvae.config import settings
from vqvae.data.tokenized import Tokenized
from vqvae.disk import check_outputs
from vqvae.media.flat import check_flat, flat_writer, index_of
from vqvae.media.tokens import TokenLayout
from vqvae.progress import Progress
from vqvae.words import counted


@settings
class Arguments:
    tokens: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """A folder of 'vqvae tokenize' with Parquet shards."""
    out: File
    """The file for the tokens: NAME.bin. Its index is NAME.idx."""
    offset: int = 0
    """The first token of the codes in another vocabulary. Each codebook gets a range of its own from there on."""
    begin: int | None = None
    """A token before each item. Default: none."""
    end: int | None = None
    """A token after each item. Default: none."""
    overwrite: bool = False
    """Replace the files if they exist."""


def main(arguments: Sequence[str]) -> int:
    """Write the codes of a tokenized data set as one flat file of tokens."""
    chosen = parse(
        Arguments, "flatten", arguments, "Write the codes of a tokenized data set to one file of tokens, to train language models."
    )
    check_flat(chosen.out)
    tokens = Tokenized(chosen.tokens)
    check_outputs([chosen.out, index_of(chosen.out)], [chosen.tokens], overwrite=chosen.overwrite)
    layout = TokenLayout(levels=tokens.layout, offset=chosen.offset)
    with (
        flat_writer(chosen.out, layout, begin=chosen.begin, end=chosen.end) as writer,
        closing(Progress("writing", len(tokens))) as progress,
    ):
        for item in progress.over(tokens.items()):
            writer.append(item.codes)
    note(f"The tokens of {counted(len(tokens), 'items')} are in {chosen.out}, their index in {index_of(chosen.out)}.")
    return 0
