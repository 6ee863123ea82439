"""Write golden runs: ``python -m tests.golden.make [NAME ...]``, from the root of the repository.

Those in this folder were written by the code of the commit that stands in each ``expected.json``, and stay as they are: what a release
wrote, every later one reads. This script is kept for the record, and to add others. It writes over nothing.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

import vqvae
from tests.golden import bridge, settings
from tests.golden.canary import canary
from tests.golden.inputs import batch_of, splits_of, waves
from tests.golden.observe import Seen, evaluate, observe_codes, observe_part, observe_run, rows_of
from tests.golden.recordings import write_recordings

FOLDER = Path(__file__).parent
MIDDLE = 4
"""The step after which a training is stopped that will be resumed."""


def write_expected(folder: Path, seen: Seen, **more: Any) -> None:
    """Store what was seen, with where and by what."""
    tensors = {name: value.contiguous().clone() for name, value in seen.tensors.items()}
    small = {name: value.to(torch.int16) if value.dtype == torch.int64 else value for name, value in tensors.items()}
    assert all(torch.equal(small[name].to(value.dtype), value) for name, value in tensors.items())
    save_file(small, folder / "expected.safetensors")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    written_by = {"commit": commit, "vqvae": vqvae.__version__, "torch": torch.__version__}
    about = {"written_by": written_by, "canary": canary(), **more, "numbers": seen.numbers}
    (folder / "expected.json").write_text(json.dumps(about, indent=1) + "\n")


def write_part(name: str, folder: Path) -> None:
    """A trained part, as the trainer leaves it."""
    golden = settings.PARTS[name]
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary)
        bridge.train(golden.config(), splits_of({**golden.inputs, "seed": 100, "count": 16}, golden.inputs), run, "tokenizer")
        shutil.copytree(run / "tokenizer", folder / "part")
    write_expected(folder, observe_part(bridge.load_part(folder / "part"), batch_of(golden.inputs)), kind="part", inputs=golden.inputs)


def write_untrained(name: str, folder: Path) -> None:
    """A prior that is counted, or nothing at all."""
    config, inputs = settings.UNTRAINED[name]
    prior, batch = config.build(), batch_of({**inputs, "seed": 100, "count": 16})
    if isinstance(prior, vqvae.UnigramPrior):
        prior.count(batch.x, batch.mask)
    bridge.save_part(prior, folder / "part")
    write_expected(folder, observe_part(bridge.load_part(folder / "part"), batch_of(inputs)), kind="part", inputs=inputs)


def write_resumed(name: str, folder: Path) -> None:
    """The checkpoint in the middle of a training, and what the whole of it gives."""
    golden = settings.RESUMED[name]
    sides = {"train": {**golden.inputs, "seed": 100, "count": 16}, "held_out": golden.inputs}
    stage = "prior" if "prior" in name or "wavenet" in name else "joint" if "joint" in name else "tokenizer"
    steps = {"steps": 12 if "evaluate_every" in golden.more else 2 * MIDDLE}
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary)
        middle = steps["steps"] // 2
        final = bridge.train(golden.config(**steps), splits_of(**sides), whole, stage, checkpoint_every=middle, keep_last=9)
        place = Path("checkpoints", *([] if stage == "tokenizer" else [stage]), f"step-{middle:06d}")
        shutil.copytree(whole / place, folder / "run" / place)
        lines = (whole / "metrics.jsonl").read_text().splitlines(keepends=True)
        (folder / "run" / "metrics.jsonl").write_text("".join(line for line in lines if json.loads(line)["step"] <= middle))
        about = {"kind": "resume", "stage": stage, "checkpoint": place.as_posix(), "middle": middle, "inputs": sides}
        write_expected(folder, Seen(dict(final.state_dict()), rows_of(whole, middle)), **about)


def write_codes(name: str, folder: Path) -> None:
    """Shards of codes: of images with labels, or of sequences with lengths."""
    images = name == "codes-images"
    batch = batch_of(settings.codes(*(2, 3, 4) if images else (1, 12), count=11, **({"labels": 3} if images else {})))
    header = bridge.CodesHeader(
        source="golden",
        num_codebooks=batch.x.shape[1],
        codebook_size=8 if images else 300,
        space=tuple(batch.x.shape[2:]),
        count=11,
        label_names=("a", "b", "c") if images else (),
        shard_size=4,
    )
    x = batch.x.numpy() if images else batch.x.numpy() * 37
    writer = bridge.CodesWriter(folder / "codes", header)
    for shard in writer.missing():
        rows = slice(shard.examples.start, shard.examples.stop)
        labels = batch.condition.label.numpy()[rows] if images else None
        writer.write(shard, x[rows], labels, None if images else np.arange(2, 13)[rows])
    writer.finish()
    write_expected(folder, observe_codes(folder / "codes"), kind="codes")


def write_run(name: str, folder: Path) -> None:
    """Both stages of a run as they are left, less the report, the pictures and TensorBoard's files."""
    images = name == "run-images"
    first, second = settings.RUN_SPEECH, settings.RUN_SPEECH_PRIOR
    if images:
        first, second = settings.RUN_IMAGES, settings.RUN_IMAGES_PRIOR
    with tempfile.TemporaryDirectory() as temporary:
        home = Path.cwd()
        os.chdir(temporary)
        if not images:
            samples = {name: waves(40 + i, 1, (length,))[0, 0] for i, (name, length) in enumerate(settings.RECORDINGS.items())}
            stored = {name: (wave * 32_768).to(torch.int16) for name, wave in samples.items()}
            save_file(stored, folder / "recordings.safetensors")
            write_recordings(stored, Path("recordings"))
        run = Path("run")
        bridge.train_tokenizer(first, run, "golden")
        bridge.train_prior(second, run, scored=True)
        for left in [*run.glob("*.png"), *run.glob("*.svg"), *run.glob("*.html"), run / ".lock"]:
            left.unlink()
        for left in ("tensorboard", "grids"):
            shutil.rmtree(run / left, ignore_errors=True)
        shutil.copytree(run, folder / "run")
        printed = StringIO()
        with redirect_stdout(printed):
            scores = evaluate(run, printed.getvalue)
        os.chdir(home)
    inputs = settings.pictures(count=3) if images else settings.waves(500)
    seen = observe_run(folder / "run", batch_of(inputs).x)
    write_expected(folder, Seen(seen.tensors, {**seen.numbers, "evaluate": scores}), kind="run", inputs=inputs)


WRITERS: dict[str, Callable[[str, Path], None]] = {
    **dict.fromkeys(settings.PARTS, write_part),
    **dict.fromkeys(settings.UNTRAINED, write_untrained),
    **dict.fromkeys(settings.RESUMED, write_resumed),
    **dict.fromkeys(("codes-images", "codes-sequences"), write_codes),
    **dict.fromkeys(("run-images", "run-speech"), write_run),
}


def main(names: list[str]) -> None:
    """Write those that are named, or all that are not there yet."""
    torch.set_num_threads(1)
    for name in names or WRITERS:
        folder = FOLDER / name
        if folder.exists():
            print(f"{name} is there and stays as it is.", file=sys.stderr)
            continue
        folder.mkdir()
        try:
            WRITERS[name](name, folder)
        except BaseException:
            shutil.rmtree(folder)
            raise
        print(f"{name}  {sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
