"""A process is killed before each of its calls that change the file system; the same command again must give the same run.

``python -m tests.fuzz.kills [STAGE...] [--every N]`` dies before each N-th call of a stage (``STAGES``).
"""

import argparse
import builtins
import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.fuzz.results import add
from vqvae import disk
from vqvae.cli.main import main
from vqvae.data import write_audio

KILLED = 137
TRAIN = [
    *("train", "images", "--data", "pictures", "--out", "run", "--data.size", "8", "--steps", "4", "--batch-size", "2", "--device", "cpu"),
    *("--checkpoint-every", "2", "--evaluate-every", "2", "--model.quantizer.dim", "2", "--model.quantizer.codebook-size", "4"),
    *("--model.encoder.widths", "4", "--model.decoder.widths", "4", "--model.encoder.residual-hidden", "2"),
    *("--model.decoder.residual-hidden", "2"),
]
PRIOR = [
    *("train-prior", "run", "--steps", "4", "--batch-size", "2", "--device", "cpu", "--checkpoint-every", "2", "--model.layers", "1"),
    *("--model.hidden", "4"),
]
SPEECH = [
    *("train", "speech", "--data", "recordings", "--out", "run", "--data.chunk", "4096", "--data.hop", "4096", "--steps", "4"),
    *("--batch-size", "2", "--device", "cpu", "--precision", "float32", "--checkpoint-every", "2", "--evaluate-every", "2"),
    *("--model.encoder.width", "8", "--model.encoder.residual-blocks", "0", "--model.decoder.width", "8", "--model.decoder.blocks", "1"),
    *("--model.quantizer.dim", "4", "--model.quantizer.codebook-size", "8"),
]
VIDEO = [
    *("train", "video", "--data", "clips", "--out", "run", "--data.size", "8", "--steps", "4", "--batch-size", "2", "--device", "cpu"),
    *("--checkpoint-every", "2", "--evaluate-every", "2", "--model.model.quantizer.dim", "2", "--model.model.quantizer.codebook-size", "4"),
    *("--model.model.encoder.widths", "4", "--model.model.decoder.widths", "4", "--model.model.encoder.residual-hidden", "2"),
    *("--model.model.decoder.residual-hidden", "2"),
]
TOKENIZE = ["tokenize", "run", "pictures", "--out", "out", "--shard-size", "3", "--workers", "1", "--device", "cpu"]
WORLD = [
    *("train-prior", "run", "--steps", "4", "--batch-size", "2", "--device", "cpu", "--checkpoint-every", "2", "--model.layers", "1"),
    *("--model.hidden", "4", "--model.memory", "4", "--model.width", "4", "--model.clip-length", "3"),
]
HELD_OUT = ("pictures/val/0.png", "pictures/val/1.png")
PARTS = ("run/tokenizer", "run/unigram", "run/prior", "run/codes")


class Stage(NamedTuple):
    """A command, and what it must leave."""

    command: list[str]
    needs: tuple[str, ...] = ()
    """The stages before it."""
    compared: tuple[str, ...] = PARTS
    """Files and folders that must be the same byte for byte. Times, logs and pictures of times may differ."""


def _writing(*words: str) -> list[str]:
    return [*words, "--overwrite", "--device", "cpu"]


STAGES = {
    "train": Stage(TRAIN),
    "train-prior": Stage(PRIOR, ("train",)),
    "evaluate": Stage(["evaluate", "run", "--device", "cpu"], ("train", "train-prior"), (*PARTS, "run/metrics.json")),
    "train-coder": Stage(["train-coder", "run"], ("train",), ("run/coder", "run/metrics.json")),
    "encode": Stage(_writing("encode", "run", "pictures", "--out", "out/a.npz"), ("train",), ("run", "out")),
    "tokenize": Stage(
        ["tokenize", "run", "pictures", "--out", "out", "--shard-size", "3", "--workers", "1", "--device", "cpu"],
        ("train",),
        ("run", "out"),
    ),
    "reconstruct": Stage(
        _writing("reconstruct", "run", "pictures/val/0.png", "pictures/val/1.png", "--out", "out"), ("train",), ("run", "out")
    ),
    "speech": Stage(SPEECH),
    "video": Stage(VIDEO),
    "world": Stage(WORLD, ("video",)),
}
"""``train``, ``speech`` and ``video`` write codes and scores, too."""


def place(folder: Path) -> None:
    """The pictures, recordings and clips that runs are trained on."""
    rng = np.random.default_rng(0)
    for side, count in (("train", 6), ("val", 2)):
        (folder / "pictures" / side).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / "pictures" / side / f"{number}.png")
    for side, count in (("train", 3), ("val", 1)):
        for number in range(count):
            track = folder / "clips" / side / f"{number}.jsonl"
            track.parent.mkdir(parents=True, exist_ok=True)
            frames = [Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(5)]
            frames[0].save(track.with_suffix(".gif"), save_all=True, append_images=frames[1:], duration=100)
            track.write_text("".join(f'{{"action": "{name}"}}\n' for name in ("left", "right", "left", "left", "right")))
    for number in range(8):
        path = folder / "recordings" / f"speaker-{number % 2}" / f"{number}.wav"
        write_audio(path, rng.uniform(-1, 1, 9000).astype(np.float32), 16_000)


def carry_out(command: list[str], folder: Path, last: int | None = None) -> tuple[int, int]:
    """A command in a child, which dies before its call number ``last``: its exit status, and the calls that it made."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        count = _count_calls(folder, last)
        said, status = io.StringIO(), 1
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                status = main(command)
            except BaseException as error:  # noqa: BLE001  Whatever it is, it is a finding.
                said.write(f"{type(error).__name__}: {error}")
        os.write(write, json.dumps([count(), said.getvalue()[-500:]]).encode())
        os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        told = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    calls, said = json.loads(told) if told else (last or 0, "")
    if status not in (0, KILLED):
        print(said, file=sys.stderr)
    return status, calls


def contents(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """What must not depend on kills, by name and digest."""
    paths = [path for name in names for path in (folder / name, *(folder / name).rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(_timeless(path)).hexdigest() for path in sorted(paths)}


def leftovers(folder: Path) -> list[str]:
    """Temporary files that were not cleaned up."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob(f"{disk.TEMPORARY}/*")]


def sweep(stage: str, every: int = 1, first: int = 0) -> tuple[int, list[str]]:
    """Kill a stage before each ``every``-th of its calls: how many kills there were, and the faults that they showed.

    Each fault is printed at once.
    """
    command, needs, compared = STAGES[stage]
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as top:
        before, whole = Path(top, "before"), Path(top, "whole")
        before.mkdir()
        place(before)
        for earlier in needs:
            assert carry_out(STAGES[earlier].command, before)[0] == 0, earlier
        shutil.copytree(before, whole)
        status, calls = carry_out(command, whole)
        assert status == 0, f"{stage} fails without a kill"
        wanted, kills = contents(whole, compared), 0
        for last in range(first, calls, every):
            folder = Path(top, "killed")
            shutil.copytree(before, folder)
            status, _ = carry_out(command, folder, last)
            kills += status == KILLED
            again, _ = carry_out(command, folder)
            found = contents(folder, compared)
            different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
            if status not in (0, KILLED) or again != 0 or different or leftovers(folder):
                faults.append(f"{stage}, call {last}: status {status}, then {again}; different: {different}; left: {leftovers(folder)}")
                print(faults[-1], file=sys.stderr, flush=True)
            shutil.rmtree(folder)
    return kills, faults


def _timeless(file: Path) -> bytes:
    """The bytes of a file; of settings and scores without times."""
    content = file.read_bytes()
    if file.name not in ("config.json", "metrics.json"):
        return content
    data = json.loads(content)
    data.get("card", {}).pop("metrics", None)
    return json.dumps({name: value for name, value in data.items() if "second" not in name}).encode()


def _count_calls(folder: Path, last: int | None) -> Callable[[], int]:
    """Count this process's calls that change files below ``folder``, and die before the one with the number ``last``."""
    count = 0

    def dies(function: Callable[..., Any], writes: Callable[..., bool] = lambda *_, **__: True) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if writes(*args, **kwargs):
                if count == last:
                    os._exit(KILLED)
                count += 1
            return function(*args, **kwargs)

        return counted

    def opens(path: Any, mode: str = "r", *_: Any, **__: Any) -> bool:
        return isinstance(path, str | os.PathLike) and str(folder) in os.path.abspath(path) and bool(set(mode) & set("wax+"))

    for name in ("replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir", "fsync"):
        setattr(os, name, dies(getattr(os, name)))
    builtins.open = io.open = dies(open, opens)  # type: ignore[assignment]
    for name in ("_exchange",):
        setattr(disk, name, dies(getattr(disk, name)))
    return lambda: count


def warm() -> None:
    """Import what the children would."""
    with tempfile.TemporaryDirectory() as top:
        place(Path(top))
        here = os.getcwd()
        os.chdir(top)
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                for command in (["train", "--no-such-flag"], ["train-prior", "--no-such-flag"], ["info", "run"]):
                    with contextlib.suppress(SystemExit):
                        main(command)
        finally:
            os.chdir(here)


def run() -> int:
    """Carry out the sweeps that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kills", description="Kills before every change of the file system.")
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"one of {', '.join(STAGES)}; default: all")
    parser.add_argument("--every", type=int, default=1, help="die before each N-th call only")
    parser.add_argument("--out", type=Path, help="a folder of results, to add these to its fuzzing.md and fuzzing.json")
    parser.add_argument("--first", type=int, default=0, help="the first call to die before")
    asked = parser.parse_args()
    warm()
    wrong = 0
    for stage in asked.stages or STAGES:
        began = time.monotonic()
        kills, faults = sweep(stage, asked.every, asked.first)
        wrong += len(faults)
        seconds = time.monotonic() - began
        print(f"{stage}: {kills} kills, {len(faults)} faults, {seconds:.0f} s", *faults, sep="\n  ", flush=True)
        if asked.out is not None:
            how = "every call" if asked.every == 1 else f"one call in {asked.every}"
            add(asked.out, "tests.fuzz.kills", f"kills of {stage}", how, kills, len(faults), seconds)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(run())
