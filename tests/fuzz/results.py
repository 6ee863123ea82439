"""The page of results: how many cases of each kind were tried, and how many did not hold."""

import json
import shlex
import sys
from pathlib import Path

from vqvae.reports.results import write_results

NAME = "fuzzing"
COLUMNS = ("what", "how", "cases", "that do not hold", "seconds")
NOTES = """\
A case holds if it ends in a result or in an error of the package's own. A command must end with exit status 0, 1 or 2 and without a
traceback. Each case has a limit of time (`--seconds`, default: 20) and 3 GiB of memory.

- `commands`: command lines with flags and values of all kinds.
- `python`: public classes and functions called with anything.
- `runs`: run folders that are damaged or hostile, given to a command.
- `files`: pictures, sounds and arrays that are damaged, given to a reader.
- `compressed files`: files of `vqvae compress` in every mode, from pictures, sound and clips, damaged at random, half of them with right
  checksums. Each must be decompressed or refused within 2 seconds of processor time. All of them together may add 256 MiB of memory.
- `compressed files, guided`: the same, with changes that Atheris chooses by what they reach in the code of the package.
- `values of runs`: every value in the JSON files of a run, replaced by hostile ones.
- `kills of …`: a stage dies before one of its calls that change the file system, and is started again. It holds if the run is then the
  same as without the kill, and no temporary file is left.
- `SIGKILL of tokenize`: a tokenization is killed at random moments, with its workers at work, and is started again. It holds if the shards
  and the manifest are then the same as without the kill.

Repeat them with `make fuzz`, `make fuzz-guided` and `make kills`."""


def add(folder: Path, module: str, kind: str, how: str, cases: int, findings: int, seconds: float) -> None:
    """Add the outcome of one kind to the page in ``folder``. An earlier outcome of the same kind is replaced.

    Args:
        module: what was run with ``python -m``.
        how: the seed, or which of the cases were tried.
    """
    command = shlex.join(["python", "-m", module, *sys.argv[1:]])
    path = folder / f"{NAME}.json"
    before = json.loads(path.read_text(encoding="utf-8"))["outcomes"] if path.exists() else []
    new = {"what": kind, "how": how, "cases": cases, "findings": findings, "seconds": seconds, "command": command}
    outcomes = sorted((*(one for one in before if one["what"] != kind), new), key=lambda one: one["what"])
    write_results(
        folder,
        NAME,
        title="Fuzzing and kills",
        command=command,
        columns=COLUMNS,
        rows=[(one["what"], one["how"], f"{one['cases']:,}", f"{one['findings']:,}", f"{one['seconds']:,.0f}") for one in outcomes],
        values={"outcomes": outcomes},
        seconds=sum(one["seconds"] for one in outcomes),
        notes=NOTES,
    )
