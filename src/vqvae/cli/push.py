"""``vqvae push RUN OWNER/NAME``."""

from collections.abc import Sequence
from typing import Annotated

import tyro

from vqvae.cli.arguments import note, parse
from vqvae.cli.values import Name, Run
from vqvae.config import settings
from vqvae.runs.sharing import push_to_hub
from vqvae.storage.hub import read_address


@settings
class Arguments:
    run: Run
    """The run folder."""
    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="OWNER/NAME")]
    """The name of the model on the Hub. The model is created if it does not exist."""
    private: bool = False
    """Make a new model visible only to its owner."""
    license: Name = None
    """The licence for the model card, such as apache-2.0. Default: none."""


def main(arguments: Sequence[str]) -> int:
    """Upload a run to the Hugging Face Hub, with a model card."""
    chosen = parse(Arguments, "push", arguments, "Upload a run to the Hugging Face Hub, with a model card.")
    page = push_to_hub(chosen.run, chosen.name, private=chosen.private, license=chosen.license)
    print(page)
    note(f"Load it: vqvae.load({str(read_address(chosen.name))!r}), or give {read_address(chosen.name)} as RUN to any command.")
    return 0
