"""Startup time: ``vqvae --help``, and ``import vqvae`` compared with ``import torch``.

    python benchmarks/startup.py [--rounds 15] [--out docs/results]

Fresh processes take turns, with bytecode already compiled. ``import vqvae`` alone resolves no name and does not import torch. The bar is
for resolving all public names.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from vqvae.reports.results import markdown_table, this_command, write_results

HELP_BAR, IMPORT_BAR = 0.3, 0.3
NAMES = "import torch, vqvae; [getattr(vqvae, name) for name in vqvae.__all__]"
COMMANDS = {
    "python": ("-c", "pass"),
    "help": ("-c", "import sys; from vqvae.cli.main import main; sys.exit(main(['--help']))"),
    "torch": ("-c", "import torch"),
    "vqvae": ("-c", "import torch, vqvae"),
    "names": ("-c", NAMES),
}
TITLES = {
    "python": "python, nothing imported",
    "help": "vqvae --help",
    "torch": "import torch",
    "vqvae": "import torch, vqvae",
    "names": "import torch, vqvae; every public name resolved",
}


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="folder for startup.md and startup.json, such as docs/results")
    arguments = parser.parse_args()

    began = time.perf_counter()
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(arguments.rounds + 1):
        for name, words in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            found[name].append(time.perf_counter() - start)
    # The first round compiles.
    seconds = {name: statistics.median(times[1:]) for name, times in found.items()}
    beyond = seconds["names"] - seconds["torch"]
    columns = ["", "seconds", "beyond torch", "bar"]
    bars = {"help": f"{HELP_BAR} s", "names": f"{IMPORT_BAR} s beyond torch"}
    rows = [
        [title, f"{seconds[name]:.3f}", f"{seconds[name] - seconds['torch']:.3f}" if name in ("vqvae", "names") else "", bars.get(name, "")]
        for name, title in TITLES.items()
    ]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "startup",
        title="Startup time",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={"help_seconds": seconds["help"], "import_seconds_beyond_torch": beyond, "seconds_by_command": seconds},
        seconds=time.perf_counter() - began,
        notes=f"Medians of {arguments.rounds} rounds of fresh processes, taken in turns.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
