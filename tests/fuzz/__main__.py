"""``python -m tests.fuzz [KIND...] [--count N] [--seed S] [--only I]``: exit status 1 if a case does not hold."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import vqvae
from tests.fuzz.cases import CASES, flags, place
from tests.fuzz.harness import GOLDEN, Finding, attempt, report, run_command
from tests.fuzz.results import add
from vqvae import storage
from vqvae.cli.main import COMMANDS

SLICE = {"commands": 4, "python": 40, "runs": 3, "files": 20}
"""Cases that take a few seconds in all."""


def main() -> int:
    """Carry out cases, one child each, and report those that do not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Seeded fuzzers of the command line, Python calls, runs and files."
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"one of {', '.join(CASES)}; default: all")
    parser.add_argument("--count", type=int, default=500, help="cases of each kind")
    parser.add_argument("--slice", action="store_true", help="few cases of every kind, for the ordinary tests")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--only", type=int, help="the number of one case")
    parser.add_argument("--out", type=Path, help="a folder of results, to add these to its fuzzing.md and fuzzing.json")
    parser.add_argument("--seconds", type=float, default=20, help="limit of a case")
    chosen = parser.parse_args()
    if wrong := set(chosen.kinds) - set(CASES):
        parser.error(f"there is no kind {sorted(wrong)}; there are {', '.join(CASES)}")
    _warm()
    findings: list[Finding] = []
    for kind in chosen.kinds or CASES:
        began = time.monotonic()
        count = SLICE[kind] if chosen.slice else chosen.count
        numbers = range(chosen.first, chosen.first + count) if chosen.only is None else [chosen.only]
        found: list[Finding] = []
        for number in numbers:
            if number % 100 == 0 and not chosen.slice:
                print(f"{kind}: case {number} of {len(numbers)}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            one = attempt(kind, CASES[kind], chosen.seed, number, seconds=chosen.seconds)
            if one is not None:
                found.append(one)
                print(f"{one.fault}\n    {one.command}", file=sys.stderr, flush=True)
        seconds = time.monotonic() - began
        print(f"{kind}: {len(numbers)} cases, {len(found)} that do not hold, {seconds:.0f} s", flush=True)
        report(found)
        findings += found
        if chosen.out is not None:
            add(chosen.out, "tests.fuzz", kind, f"seed {chosen.seed}", len(numbers), len(found), seconds)
    return 1 if findings else 0


def _warm() -> None:
    """Do once what children would all do: import, read the flags, and load parts (the first one imports SymPy and TorchDynamo)."""
    for name in vqvae.__all__:
        getattr(vqvae, name)
    storage.load(GOLDEN / "gumbel" / "part")
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        place(Path(folder))
        os.chdir(folder)
        try:
            for command in COMMANDS:
                flags(command)
            for command in (["evaluate", "run"], ["sample", "run", "--out", "out.png"], ["reconstruct", "run", "a.png", "--out", "out"]):
                run_command([*command, "--device", "cpu"])
        finally:
            os.chdir(before)


if __name__ == "__main__":
    raise SystemExit(main())
