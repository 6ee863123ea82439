"""``vqvae compare RUN RUN...``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from vqvae.cli.arguments import note, parse, say
from vqvae.cli.values import File
from vqvae.config import settings
from vqvae.disk import check_outputs
from vqvae.runs.comparison import compare, table, write_comparison


@settings
class Arguments:
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN ...")]
    """Two or more run folders."""
    out: File = Path("comparison.html")
    """The page to write: scores and pictures of all runs, side by side."""
    overwrite: bool = False
    """Replace an existing page."""
    json: bool = False
    """Print the scores as one JSON object."""


def main(arguments: Sequence[str]) -> int:
    """Print the scores of several runs as a table, and write them with pictures as a page."""
    chosen = parse(Arguments, "compare", arguments, "Compare the scores and the pictures of several runs.")
    check_outputs([chosen.out], overwrite=chosen.overwrite)
    found = compare(chosen.runs)
    if chosen.json:
        say({one.name: one.metrics for one in found}, True)
    else:
        print(table(found))
    write_comparison(chosen.out, found)
    note(f"The page is {chosen.out}.")
    return 0
