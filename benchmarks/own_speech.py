"""Recordings of one's own: one command, scored beside experiment E8, which has the same network and about an hour of one core.

    python benchmarks/own_speech.py --data FOLDER [--minutes 60] [--threads 2] [--out docs/results]

FOLDER holds recordings, in sub-folders of their speakers if there are several, such as LibriSpeech/train-clean-100. The command is
``vqvae train speech --data FOLDER --minutes N``. Its held-out recordings are of known speakers; those of E8 are of strangers.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vqvae.reports.results import this_command, write_results

E8 = Path(__file__).parents[1] / "docs" / "results" / "e8.json"
SCORES = ("bits_per_code", "bits_per_code_unigram", "codes_used", "perplexity", "log_mel_distance", "stoi", "f0_cents", "f0_voicing")


def main() -> None:
    """Train, score, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="the folder of recordings")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", help="folder for own-speech.md and own-speech.json")
    chosen = parser.parse_args()
    published = json.loads(E8.read_text())
    before = published.get("scores", published)
    with tempfile.TemporaryDirectory() as scratch:
        run, began = Path(scratch) / "run", time.perf_counter()
        words = ["train", "speech", "--data", chosen.data, "--minutes", str(chosen.minutes), "--out", str(run)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(chosen.threads)}
        subprocess.run([Path(sys.executable).with_name("vqvae"), *words], check=True, env=environment)
        seconds = time.perf_counter() - began
        metrics = json.loads((run / "metrics.json").read_text())
        usage = os.times()
    rows = [[name, f"{metrics[name]:.4g}", f"{before[name]:.4g}"] for name in SCORES if name in metrics and name in before]
    write_results(
        chosen.out,
        "own-speech",
        title="Recordings of one's own",
        command=this_command(),
        columns=["", f"vqvae train speech, {chosen.minutes:g} minutes", "E8"],
        rows=rows,
        values={"ours": {name: metrics.get(name) for name in SCORES}, "processor_seconds": usage.children_user + usage.children_system},
        seconds=seconds,
        notes=f"One command with {chosen.threads} threads took {seconds / 60:.0f} minutes, {usage.children_user / 60:.0f} of them of the "
        "processor. Our held-out recordings are of known speakers, those of [E8](e8.md) of strangers, so the scores are not strictly "
        "comparable.",
    )
    print(json.dumps({name: metrics.get(name) for name in SCORES}))


if __name__ == "__main__":
    main()
