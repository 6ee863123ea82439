"""``vqvae tokenize`` is killed with SIGKILL at random moments, with its workers at work; run again, it must give the same shards.

``python -m tests.fuzz.moments [--count 10] [--seed 0] [--engine local|ray]``
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.kills import contents, leftovers
from tests.fuzz.results import add

RUN = Path(__file__).parents[1] / "golden" / "run-images" / "run"
SHARDS, SHARD_SIZE = 200, 100
DATA = (
    "from vqvae.data import SyntheticImagesConfig as Data; import numpy as np, sys;"
    f"count = {SHARDS * SHARD_SIZE}; data = Data(count=count, size=16).build().train;"
    "np.save(sys.argv[1], data.batch(np.arange(count)).x.numpy())"
)
"""Writes pictures for some seconds of work."""


def command(folder: Path, engine: str) -> list[str]:
    """The command to kill."""
    words = ["tokenize", "--shard-size", str(SHARD_SIZE), str(RUN), str(folder.parent / "x.npy"), "--out", str(folder), "--workers", "2"]
    return [sys.executable, "-c", "import sys; from vqvae.cli.main import main; sys.exit(main())", *words, "--engine", engine]


def shards(folder: Path) -> int:
    """The number of shards in a folder."""
    return len(list((folder / "shards").glob("*.parquet")))


def sweep(count: int, seed: int, engine: str) -> list[str]:
    """Kill at ``count`` random moments while shards are written. Returns the faults that they showed."""
    chance, faults = random.Random(seed), []
    with tempfile.TemporaryDirectory() as top:
        subprocess.run([sys.executable, "-c", DATA, str(Path(top, "x.npy"))], check=True)
        subprocess.run(command(Path(top, "whole"), "local"), check=True, capture_output=True)
        wanted, folder = contents(Path(top, "whole"), (".",)), Path(top, "killed")
        for number in range(count):
            least, pause = chance.randrange(SHARDS), chance.uniform(0, 0.1)
            child = subprocess.Popen(command(folder, engine), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while child.poll() is None and shards(folder) < least:
                time.sleep(0.002)
            time.sleep(pause)
            child.send_signal(signal.SIGKILL)
            child.wait()
            there = shards(folder)
            again = subprocess.run(command(folder, engine), capture_output=True, text=True)
            found = contents(folder, (".",))
            print(f"kill {number + 1}: {there} of {SHARDS} shards", flush=True)
            if again.returncode or found != wanted or leftovers(folder):
                different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
                faults.append(f"at {there} shards: status {again.returncode}, different: {different}; {again.stderr[-300:]}")
            shutil.rmtree(folder)
    return faults


def main() -> int:
    """Carry out the sweep that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.moments", description="SIGKILL at random moments of a tokenization.")
    parser.add_argument("--count", type=int, default=10, help="number of kills")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--out", type=Path, help="a folder of results, to add these to its fuzzing.md and fuzzing.json")
    asked = parser.parse_args()
    began = time.monotonic()
    faults = sweep(asked.count, asked.seed, asked.engine)
    print(f"{asked.count} kills, {len(faults)} faults", *faults, sep="\n  ")
    if asked.out is not None:
        how = f"random moments, seed {asked.seed}"
        add(
            asked.out,
            "tests.fuzz.moments",
            f"SIGKILL of tokenize ({asked.engine})",
            how,
            asked.count,
            len(faults),
            time.monotonic() - began,
        )
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
