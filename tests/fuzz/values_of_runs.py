"""Every value in the JSON files of a run, replaced by hostile ones in turn; commands must end in status 0 or 1 without a traceback.

``python -m tests.fuzz.values_of_runs [--every N]`` tries each N-th of them.
"""

import argparse
import copy
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import vqvae
from tests.fuzz.harness import Finding, attempt, run_command
from vqvae import EMAQuantizerConfig, GaussianConfig, ImageDecoderConfig, ImageEncoderConfig, Pipeline, PixelCNNConfig, VQVAEConfig

HOSTILE: tuple[Any, ...] = (
    None, True, 0, -1, 3, 2**40, 10**400, 1e308, float("nan"), float("inf"), "",
    "x" * 5000, "\ud800", [], ["x"], [-1, 2**70], {}, {"kind": []},
    [[[[]]]],
)  # fmt: skip
COMMANDS = (["info", "run"], ["sample", "run", "--count", "1", "--out", "x.png"], ["reconstruct", "run", "a.png", "--out", "out"])


def make_run(folder: Path) -> Path:
    """A tiny run with classes, priors, scores and a picture beside it."""
    import numpy as np
    from PIL import Image

    net = {"widths": (4, 4), "residual_hidden": 4}
    model = VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=4, codebook_size=8),
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(**net),
        decoder=ImageDecoderConfig(**net),
    ).build()
    prior = PixelCNNConfig(codebook_size=8, layers=2, hidden=4, kernel=3, output_hidden=4, classes=2).build()
    vqvae.save(Pipeline(model, prior, label_names=("a", "b"), size=(16, 16)), folder / "run")
    (folder / "run" / "metrics.json").write_text(json.dumps({"psnr": 30.0, "seconds_by_stage": {"data": 1.0}, "seconds": 1.0}))
    row = {"stage": "tokenizer", "step": 10, "seconds": 1.0, "loss": 0.5}
    (folder / "run" / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(folder / "a.png")
    return folder


def changes(run: Path) -> list[tuple[Path, tuple[Any, ...], Any]]:
    """Every file, place in it and hostile value."""
    found = []
    for path in sorted((*run.rglob("*.json"), *run.rglob("*.jsonl"))):
        for keys in places(json.loads(path.read_text())):
            found += [(path.relative_to(run), keys, value) for value in HOSTILE]
    return found


def places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to every value of a tree; () is the tree itself."""
    yield above
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from places(value, (*above, key))


def changed(tree: Any, keys: tuple[Any, ...], value: Any) -> Any:
    """A copy of a tree with another value in one place."""
    if not keys:
        return value
    tree = copy.copy(tree)
    tree[keys[0]] = changed(tree[keys[0]], keys[1:], value)
    return tree


def sweep(numbers: range | None, every: int = 1) -> list[Finding]:
    """Try the changes with these numbers; default: each ``every``-th, the number decides on the command."""
    with tempfile.TemporaryDirectory() as top:
        place = make_run(Path(top))
        cases = changes(place / "run")
        _warm(place)
        chosen = range(0, len(cases), every) if numbers is None else numbers
        findings = []
        for number in chosen:
            path, keys, value = cases[number]
            command = COMMANDS[number % len(COMMANDS)]  # So that a number alone repeats a case.

            def case(r: Any, folder: Path, path: Path = path, keys: Any = keys, value: Any = value, command: Any = command) -> str:
                shutil.copytree(place, folder, dirs_exist_ok=True)
                file = folder / "run" / path
                file.write_text(json.dumps(changed(json.loads(file.read_text()), keys, value)))
                r.tell(f"{path}: {'.'.join(map(str, keys))} = {repr(value)[:40]}; vqvae {' '.join(command)}")
                run_command(list(command))
                return command[0]

            found = attempt("values_of_runs", case, 0, number)
            findings += [found] if found else []
    print(f"values of runs: {len(chosen)} of {len(cases)} cases, {len(findings)} that do not hold", flush=True)
    return findings


def _warm(place: Path) -> None:
    """Import what the children would, and carry out each command once on the good run."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(place, folder, dirs_exist_ok=True)
        os.chdir(folder)
        try:
            for command in COMMANDS:
                run_command(list(command))
        finally:
            os.chdir(before)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", type=int)
    asked = parser.parse_args()
    left = sweep(None if asked.only is None else range(asked.only, asked.only + 1), asked.every)
    for one in left:
        print(f"{one.fault}\n    {one.what}\n    python -m tests.fuzz.values_of_runs --only {one.number}")
    raise SystemExit(bool(left))
