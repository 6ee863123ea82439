"""Startup time: ``vqvae --help``, ``import vqvae`` compared with ``import torch``, and the start of a training.

    python benchmarks/startup.py [--rounds 15] [--trainings 3] [--out docs/results]

Fresh processes take turns, with bytecode already compiled. ``import vqvae`` alone resolves no name and does not import torch. The bar is
for resolving all public names. A training is ``vqvae train images --data FOLDER`` without further settings, on the CPU, with an empty
cache. Its times are from Enter to the first line, and to the first reconstructions on disk.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from vqvae.reports.results import markdown_table, this_command, write_results

HELP_BAR, IMPORT_BAR, LINE_BAR, PICTURE_BAR = 0.3, 0.3, 1.0, 60.0
IMAGES, SIZE = 2_000, 64
PATIENCE = 600.0
"""Seconds until a training without pictures is given up."""
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


def make_images(folder: Path) -> None:
    """Coloured clouds as PNG files: noise at several scales."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(IMAGES):
        cloud = np.full((SIZE, SIZE, 3), 128.0)
        for scale in (4, 8, 16):
            cloud += np.kron(random.normal(0, 2 * scale, (SIZE // scale, SIZE // scale, 3)), np.ones((scale, scale, 1)))
        Image.fromarray(cloud.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04d}.png")


def with_bytecode(folder: Path) -> dict[str, str]:
    """An environment in which modules are compiled once and kept, as they are by default. A machine may forbid that."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder)}


def train(images: Path, run: Path) -> tuple[float, float]:
    """Seconds from the start of a training to its first line, and to its first reconstructions."""
    words = [sys.executable, "-c", "import sys; from vqvae.cli.main import main; sys.exit(main(sys.argv[1:]))"]
    words += ["train", "images", "--data", str(images), "--out", str(run), "--device", "cpu"]
    began = time.perf_counter()
    environment = {**with_bytecode(run.parent / "bytecode"), "XDG_CACHE_HOME": str(run.parent / f"{run.name}-cache")}
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        process.stderr.readline()
        line = time.perf_counter() - began
        threading.Thread(target=process.stderr.read, daemon=True).start()  # A full pipe would stop the training.
        try:
            while not any(run.glob("grids/*.png")):
                if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                    raise SystemExit(f"The training ended without a picture (exit status {process.poll()}).")
                time.sleep(0.02)
            return line, time.perf_counter() - began
        finally:
            process.kill()


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, help="folder for startup.md and startup.json, such as docs/results")
    parser.add_argument("--trainings", type=int, default=3)
    arguments = parser.parse_args()

    began = time.perf_counter()
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as place:
        environment = with_bytecode(Path(place) / "bytecode")
        for _ in range(arguments.rounds + 1):
            for name, words in COMMANDS.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment)
                found[name].append(time.perf_counter() - start)
        # The first round compiles.
        seconds = {name: statistics.median(times[1:]) for name, times in found.items()}
        make_images(Path(place) / "images")
        trained = [train(Path(place) / "images", Path(place) / f"run-{number}") for number in range(arguments.trainings)]
    line, picture = (statistics.median(times) for times in zip(*trained, strict=True))
    beyond = seconds["names"] - seconds["torch"]
    columns = ["", "seconds", "beyond torch", "bar"]
    bars = {"help": f"{HELP_BAR} s", "names": f"{IMPORT_BAR} s beyond torch"}
    rows = [
        [title, f"{seconds[name]:.3f}", f"{seconds[name] - seconds['torch']:.3f}" if name in ("vqvae", "names") else "", bars.get(name, "")]
        for name, title in TITLES.items()
    ]
    rows += [
        ["vqvae train images, first line", f"{line:.3f}", "", f"{LINE_BAR:g} s"],
        ["vqvae train images, first reconstructions", f"{picture:.1f}", "", f"{PICTURE_BAR:g} s"],
    ]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "startup",
        title="Startup time",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={
            "help_seconds": seconds["help"],
            "import_seconds_beyond_torch": beyond,
            "seconds_by_command": seconds,
            "first_line_seconds": line,
            "first_reconstructions_seconds": picture,
            "trainings": trained,
        },
        seconds=time.perf_counter() - began,
        notes=f"Medians of {arguments.rounds} rounds of fresh processes, in turns, and of {arguments.trainings} trainings on {IMAGES:,} "
        f"colour images of {SIZE}×{SIZE} pixels in a folder, with the settings that the command chooses "
        f"and {os.environ.get('OMP_NUM_THREADS', 'all')} threads.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
