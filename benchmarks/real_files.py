"""Real files compressed and restored: photographs at full size, mosaics of them, and an hour of speech as one stream.

    python benchmarks/real_files.py --pictures RUN FOLDER --speech RUN FOLDER [--seconds 3600] [--out docs/results]

Each command runs in its own process. Its peak resident memory includes everything: Python, torch and the model. The restored file must be
the one that ``vqvae reconstruct`` makes of the original.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from vqvae.media.formats import SUFFIXES as PICTURES
from vqvae.media.images import read_image
from vqvae.media.png import write_png_rows
from vqvae.media.sounds import SUFFIXES as SOUNDS
from vqvae.media.sounds import audio_blocks, read_audio, write_audio
from vqvae.reports.results import markdown_table, this_command, write_results

BAR = 1024
"""MiB of a process."""
RATE = 16_000
MOSAICS = {"mosaic of 6 MP": (2000, 3000), "mosaic of 24 MP": (4000, 6000)}
TILE = 128
"""Pixels of a side of a photograph in a mosaic."""
# Not ru_maxrss: a process inherits it from its parent.
COMMAND = """
import sys
from vqvae.cli.main import main
status = main(sys.argv[1:])
print(int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024)
sys.exit(status)
"""


def run(*words: str | Path) -> tuple[float, float]:
    """Peak of the memory in MiB, and seconds, of a command."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", COMMAND, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{words} failed: {done.stderr}")
    return float(done.stdout.split()[-1]), time.perf_counter() - began


def photographs(folder: Path, count: int) -> list[Path]:
    """The files with the most pixels."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    return sorted(files, key=lambda path: -math.prod(Image.open(path).size))[:count]


def mosaic(photos: list[Path], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """A picture of photographs cut to squares, in rows of them: uint8 (3, rows, width)."""
    height, width = size
    across = -(-width // TILE)
    for row in range(-(-height // TILE)):
        tiles = [Image.open(photos[(row * across + at) % len(photos)]).convert("RGB") for at in range(across)]
        squares = [tile.resize((TILE, TILE), box=(0, 0, min(tile.size), min(tile.size))) for tile in tiles]
        yield np.concatenate(squares, 1).transpose(2, 0, 1)[:, : height - row * TILE, :width]


def speech(folder: Path, seconds: int) -> Iterator[np.ndarray]:
    """Recordings one after the other, from the first again after the last, until there are enough seconds."""
    files, left = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUNDS), seconds * RATE
    while left > 0:
        for file in files:
            for block in audio_blocks(file, RATE):
                yield block[:left]
                left -= min(len(block), left)
                if not left:
                    return


def measure(model: Path, file: Path, what: str, positions: int, label: str | None) -> dict:
    """Compress, restore and reconstruct a file."""
    small, out = file.parent / "small", file.parent / "out"
    label_words, speaker = ([], []) if label is None else (["--label", label], ["--speaker", label])
    compressed = run("compress", model, file, "--out", small, *label_words, "--device", "cpu")
    restored = run("decompress", model, small / f"{file.stem}.vqz", "--out", out, "--device", "cpu")
    run("reconstruct", model, file, "--out", file.parent / "again", *speaker, "--device", "cpu")
    (made,), (again,) = ([*place.glob(f"{file.stem}*")] for place in (out, file.parent / "again"))
    read = (lambda path: read_audio(path, RATE)) if made.suffix == ".wav" else read_image
    one, other = read(made), read(again)
    size = (small / f"{file.stem}.vqz").stat().st_size
    found = {
        "what": what,
        "positions": positions,
        "bytes": size,
        "bits_per_position": 8 * size / positions,
        "compress": dict(zip(("MiB", "seconds"), compressed, strict=True)),
        "decompress": dict(zip(("MiB", "seconds"), restored, strict=True)),
        "values_that_differ": int((one != other).sum()) if one.shape == other.shape else max(one.size, other.size),
        "values": int(one.size),
    }
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def all_files(arguments: argparse.Namespace, folder: Path) -> Iterator[dict]:
    """Measure every file that was asked for."""
    if arguments.pictures:
        model, data = map(Path, arguments.pictures)
        photos = photographs(data, 997)
        for number, photo in enumerate(photos[:1]):
            file = folder / f"photo-{number}{photo.suffix}"
            file.write_bytes(photo.read_bytes())
            width, height = Image.open(file).size
            yield measure(model, file, f"photograph, {width} × {height}", width * height, None)
        for name, (height, width) in MOSAICS.items():
            file = folder / f"{name.replace(' ', '-')}.png"
            write_png_rows(file, mosaic(photos, (height, width)), (height, width))
            yield measure(model, file, f"{name}, {width:,} × {height:,}", width * height, None)
    if arguments.speech:
        model, data = map(Path, arguments.speech)
        write_audio(folder / "speech.wav", speech(data, arguments.seconds), RATE)
        what, samples = f"{arguments.seconds / 60:g} minutes of speech", arguments.seconds * RATE
        yield measure(model, folder / "speech.wav", what, samples, arguments.speaker)


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", nargs=2, metavar=("RUN", "FOLDER"), help="a run of colour pictures, and photographs")
    parser.add_argument("--speech", nargs=2, metavar=("RUN", "FOLDER"), help="a run of speech at 16 kHz, and recordings")
    parser.add_argument("--speaker", help="whose voice restores the speech, if the run has speakers")
    parser.add_argument("--seconds", type=int, default=3600, help="length of the speech")
    parser.add_argument("--out", type=Path, help="folder for real-files.md and real-files.json, such as docs/results")
    arguments = parser.parse_args()
    began = time.perf_counter()
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        found = list(all_files(arguments, Path(folder)))
    columns = ["file", "bytes", "bits per pixel or sample", "compress, MiB", "seconds", "decompress, MiB", "seconds", "values that differ"]
    rows = [
        [one["what"], f"{one['bytes']:,}", f"{one['bits_per_position']:.3f}"]
        + [f"{one[task][unit]:.0f}" for task in ("compress", "decompress") for unit in ("MiB", "seconds")]
        + [f"{one['values_that_differ']:,} of {one['values']:,}"]
        for one in found
    ]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "real-files",
        title="Real files, compressed and restored",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={"files": found, "bar_mib": BAR},
        seconds=time.perf_counter() - began,
        notes=NOTES,
    )
    print(json.dumps(record))


NOTES = f"""
Memory is the peak of the whole process, with Python, torch and the model; the bar is {BAR} MiB. The last column compares the restored file
with what `vqvae reconstruct` makes of the original. The photographs are the largest of the folder. The mosaics consist of photographs of
{TILE} × {TILE} pixels. The speech consists of the recordings of the folder, one after the other, and then from the first again.
"""

if __name__ == "__main__":
    main()
