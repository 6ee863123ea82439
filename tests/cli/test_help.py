"""The short help."""

import subprocess
import sys

import pytest

from vqvae.cli.help import short_help
from vqvae.cli.main import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_printed_without_torch(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out == short_help(command) + "\n"


def test_nothing_heavy_is_imported_for_help() -> None:
    heavy = "{'torch', 'numpy', 'tyro', 'PIL'}"
    script = f"import sys; from vqvae.cli.main import main; main(['train', '--help']); sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def test_help_all_lists_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["train", "--help-all"])
    assert "--adversary-optimizer.learning-rate" in capsys.readouterr().out
