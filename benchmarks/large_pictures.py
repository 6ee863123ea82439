"""Large pictures: peak memory and time of ``vqvae reconstruct`` and of Python, and whether pieces give the codes of the whole.

    python benchmarks/large_pictures.py [--steps 30] [--out docs/results]

A small model is trained on parts of a synthetic picture. Each measurement runs in its own process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vqvae.media.images import write_png
from vqvae.media.png import write_png_rows
from vqvae.reports.results import markdown_table, this_command, write_results

SIZES = {"12 MP": (3000, 4000), "100 MP": (8660, 11547)}
BAR_MIB = 1024
READ = """
import sys, torch, vqvae
from vqvae.data import read_image
torch.set_num_threads(int(sys.argv[3]))
model = vqvae.load(sys.argv[1])
x = torch.from_numpy(read_image(sys.argv[2]))[None]
"""
PROGRAMS = {
    "nothing": "import torch, vqvae; [getattr(vqvae, name) for name in vqvae.__all__]",
    "command": "import sys; from vqvae.cli.main import main; sys.exit(main(sys.argv[1:]))",
    "python": "x = torch.zeros(1, 3, *map(int, sys.argv[4:]), dtype=torch.uint8); model.reconstruct(x)",
    "whole": READ + "from vqvae import Batch; other = model.tokenizer.encode(Batch(x)).tensor",
    "wider": READ + "from vqvae.models import tiling; tiling._INSIDE = 1024**2; other = model.encode(x)\ntiling._INSIDE = 512**2",
}
EQUAL = "\ncodes = model.encode(x); assert len(codes.unique()) > 8; print(int((codes != other).sum()), codes.numel())"


def bands(height: int, width: int, rows: int = 64) -> Iterator[np.ndarray]:
    """A picture of waves of many lengths with a little noise, in parts: uint8 (3, rows, width)."""
    random, across = np.random.default_rng(0), np.arange(width)[None, None]
    for top in range(0, height, rows):
        down = np.arange(top, min(top + rows, height))[None, :, None]
        phase = np.arange(3)[:, None, None]
        waves = np.sin(across / 37 + phase) * np.cos(down / 23) + np.sin((across + 2 * down) / 311 + phase) + np.sin(across * down / 4e5)
        yield (127 + 40 * waves + random.normal(0, 4, waves.shape)).clip(0, 255).astype(np.uint8)


def run(program: str, *words: str) -> tuple[float, float, str]:
    """Peak resident memory in MiB, seconds, and the output."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"A measurement failed: {words}")
    return usage.ru_maxrss / 1024, time.perf_counter() - began, printed


def train(folder: Path, steps: int) -> Path:
    """A run folder."""
    picture = np.concatenate(list(bands(640, 1280)), 1).transpose(1, 2, 0)
    for number in range(200):
        top, left = 64 * (number // 20), 64 * (number % 20)
        write_png(folder / "parts" / f"{number}.png", np.ascontiguousarray(picture[top : top + 64, left : left + 64]))
    sizes = {"encoder": ("16", "32"), "decoder": ("32", "16")}
    flags = [
        word for part, widths in sizes.items() for word in (f"--model.{part}.widths", *widths, f"--model.{part}.residual-hidden", "16")
    ]
    words = ["train", "images", "--data", str(folder / "parts"), "--out", str(folder / "run"), "--steps", str(steps), *flags]
    run(PROGRAMS["command"], *words, "--batch-size", "8")
    return folder / "run"


def measure(folder: Path, model: Path, name: str, threads: int) -> tuple[list[list[str]], dict]:
    """Rows of the table and numbers for one size."""
    height, width = SIZES[name]
    write_png_rows(folder / "large.png", bands(height, width), (height, width))
    command = run(PROGRAMS["command"], "reconstruct", str(model), str(folder / "large.png"), "--out", str(folder / name.replace(" ", "")))
    load = READ[: READ.index("x = ")]
    python = run(load + PROGRAMS["python"], str(model), "", str(threads), str(height), str(width))
    other = "whole" if name == "12 MP" else "wider"
    check = run(PROGRAMS[other] + EQUAL, str(model), str(folder / "large.png"), str(threads))
    differing, count = map(int, check[2].split())
    against = "the whole picture" if other == "whole" else "pieces of 1024 x 1024"
    rows = [
        [f"{name}, vqvae reconstruct", f"{command[0]:.0f}", f"{command[1]:.0f}", f"{differing} of {count:,} differ from {against}"],
        [f"{name}, Pipeline.reconstruct", f"{python[0]:.0f}", f"{python[1]:.0f}", ""],
    ]
    values = {"command": command[:2], "python": python[:2], "codes_that_differ": differing, "codes": count, "check": check[:2]}
    return rows, values


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder for large-pictures.md and large-pictures.json, such as docs/results")
    arguments = parser.parse_args()

    began = time.perf_counter()
    nothing = run(PROGRAMS["nothing"])[0]
    rows, values = [["import torch, vqvae", f"{nothing:.0f}", "", ""]], {"import_mib": nothing}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = train(folder, arguments.steps)
        for name in SIZES:
            more, found = measure(folder, model, name, arguments.threads)
            rows, values = rows + more, {**values, name.replace(" ", "_"): found}
    columns = ["", "peak memory of the process, MiB", "seconds", "codes"]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "large-pictures",
        title="Large pictures",
        command=this_command(),
        columns=columns,
        rows=rows,
        values=values,
        seconds=time.perf_counter() - began,
        notes=f"The bar is {BAR_MIB} MiB. `vqvae reconstruct` reads a PNG file and writes one. `Pipeline.reconstruct` keeps both its "
        "input and its output in memory.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
