"""The pages of the short help."""

import re
from importlib import import_module

import pytest

from vqvae.cli.flags import flags_of
from vqvae.cli.help import WIDTH, short_help
from vqvae.cli.main import COMMANDS
from vqvae.cli.pages import PAGES


def test_every_command_has_a_page() -> None:
    assert {*PAGES} == {*COMMANDS}
    for command in COMMANDS:
        lines = short_help(command).splitlines()
        assert lines[0].startswith(f"usage: vqvae {command}") and max(map(len, lines)) <= 120
        assert all(len(line) <= WIDTH + 4 for line in lines if line.startswith("  --"))
        assert len(PAGES[command].arguments) <= 13


@pytest.mark.parametrize("command", COMMANDS)
def test_the_flags_of_a_page_exist(command: str) -> None:
    module = import_module(f"vqvae.cli.{command.replace('-', '_')}")
    default = module._default(["images", "--data", "x"]) if command == "train" else None
    shown = {found[1] for words, _ in PAGES[command].arguments if (found := re.match(r"--([\w.-]+)", words))}
    listed = {flag.name for flag in flags_of(module.Arguments, default)}
    if command == "train-prior":  # Its other flags follow from the kind of prior.
        shown = {name for name in shown if not re.match("prior|model|optimizer|steps|minutes|batch-size|seed", name)}
    assert shown <= listed
