"""An hour of audio: the memory for encoding and decoding, and whether the codes equal those of the whole.

    python benchmarks/large_audio.py [--minutes 60] [--folder FOLDER] [--out docs/results]

Each task runs in its own process. Its peak resident memory includes everything: Python, torch and the model. The model is the network of
the recipe ``speech``, narrower and trained for a few steps: memory depends on lengths, not on what was learned.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vqvae.cli.main import main as vqvae
from vqvae.media.sounds import write_audio
from vqvae.reports.results import markdown_table, this_command, write_results

RATE, BAR = 16_000, 1_024
TINY = [
    *("--model.encoder.width", "8", "--model.encoder.first-width", "8", "--model.encoder.residual-blocks", "1"),
    *("--model.decoder.width", "8", "--model.decoder.blocks", "1", "--model.quantizer.dim", "8", "--model.quantizer.codebook-size", "64"),
    *("--steps", "20", "--batch-size", "4", "--device", "cpu"),
]
IMPORTS = "import sys, numpy, torch, vqvae; from vqvae.data import Batch, audio_blocks, read_audio; "
LOAD = IMPORTS + "run, file, out = sys.argv[1:]; model = vqvae.load(run); "
BLOCKS = "blocks = (torch.from_numpy(block)[None, None] for block in audio_blocks(file, 16_000)); "
# Not ru_maxrss: a process inherits it from its parent.
PEAK = "; print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) // 1024)"
SAVE = "numpy.save(out, codes.numpy().astype('uint16'))" + PEAK
MAIN = "import sys; from vqvae.cli.main import main; run, file, out = sys.argv[1:]; assert not main([COMMAND])" + PEAK
TASKS = {
    "python and torch, the model loaded": LOAD + "1" + PEAK,
    "vqvae reconstruct": MAIN.replace("COMMAND", "'reconstruct', run, file, '--speaker', 'low', '--out', out + '-r'"),
    "vqvae convert": MAIN.replace("COMMAND", "'convert', run, file, '--speaker', 'high', '--out', out + '.wav'"),
    "encode_stream": LOAD
    + "from vqvae.models.streaming import encode_stream; "
    + BLOCKS
    + "codes = torch.cat(list(encode_stream(model.tokenizer, blocks)), -1); "
    + SAVE,
    "Pipeline.encode": LOAD + "codes = model.encode(torch.from_numpy(read_audio(file, 16_000))[None, None]); " + SAVE,
    "the encoder on the whole at once": LOAD
    + "torch.set_grad_enabled(False); "
    + "x = torch.from_numpy(read_audio(file, 16_000))[None, None]; codes = model.tokenizer.encode(Batch(x)).tensor; "
    + SAVE,
}


def sound(seconds: int, hertz: float, seed: int) -> np.ndarray:
    """A tone that glides, with noise."""
    time_ = np.arange(seconds * RATE) / RATE
    noise = np.random.default_rng(seed).normal(0, 0.05, len(time_))
    return (0.3 * np.sin(2 * np.pi * hertz * time_ + 20 * np.sin(2 * np.pi * 0.3 * time_)) + noise).astype(np.float32)


def measure(folder: Path, minutes: int) -> dict[str, dict[str, float]]:
    """The peak in MiB and the seconds of each task."""
    for name, hertz in (("low", 120.0), ("high", 220.0)):
        for number in range(3):
            write_audio(folder / "data" / name / f"{number}.wav", sound(10, hertz, number), RATE)
    run, long = folder / "run", folder / "long.wav"
    assert vqvae(["train", "speech", "--data", str(folder / "data"), "--out", str(run), *TINY]) == 0
    write_audio(long, (sound(60, 150.0, minute) for minute in range(minutes)), RATE)
    found = {}
    for number, (name, code) in enumerate(TASKS.items()):
        began = time.perf_counter()
        words = [sys.executable, "-c", code, str(run), str(long), str(folder / f"out-{number}")]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found[name] = {"MiB": int(done.stdout.split()[-1]), "seconds": time.perf_counter() - began}
        print(f"{name}: {found[name]}", flush=True)
    return found


def main() -> None:
    """Print the table; with ``--out`` write it, with its JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--folder", type=Path, help="folder for the data and the run (default: a temporary one)")
    parser.add_argument("--out", type=Path, help="folder for large-audio.md and large-audio.json, such as docs/results")
    arguments = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        found = measure(folder, arguments.minutes)
        pieces, pipeline, whole = (np.load(folder / f"out-{number}.npy") for number in (3, 4, 5))
    different = {"encode_stream": int((pieces != whole).sum()), "Pipeline.encode": int((pipeline != whole).sum())}
    columns = ["", "peak of the process, MiB", "seconds", f"codes that differ, of {whole.size}"]
    rows = [[name, f"{one['MiB']}", f"{one['seconds']:.0f}", str(different.get(name, ""))] for name, one in found.items()]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "large-audio",
        title=f"{arguments.minutes} minutes of audio in pieces",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={"minutes": arguments.minutes, "codes": int(whole.size), "different": different, "tasks": found},
        seconds=time.perf_counter() - began,
        notes=f"The limit is {BAR} MiB for the whole process. The last row is for comparison: it keeps whole layers in memory.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
