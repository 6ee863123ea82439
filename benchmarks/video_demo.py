"""The time of ``vqvae demo --modality video`` from Enter to its report, on the tokenizer of a finished ``vqvae demo``, and its scores.

    python benchmarks/video_demo.py RUN [--out docs/results]

RUN is the run folder of ``vqvae demo``. The cache is empty, so the time includes the rendering of all frames. The last line is one JSON
object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vqvae.reports.results import in_words, markdown_table, this_command, write_results
from vqvae.runs.folder import read_metrics

BAR = 12.0
"""Minutes."""
SHOWN = ("psnr", "flicker", "bits_per_frame_uniform", "bits_per_frame_unigram", "bits_per_frame", "bits_per_code_coder", "codes_used")
COMMAND = "import sys; from vqvae.cli.main import main; sys.exit(main(['demo', '--modality', 'video']))"


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="the run folder of vqvae demo")
    parser.add_argument("--out", type=Path, help="folder for video-demo.md and video-demo.json, such as docs/results")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as place:
        # The demo looks for runs/demo in the current folder.
        (Path(place) / "runs").mkdir()
        (Path(place) / "runs" / "demo").symlink_to(arguments.run.resolve())
        began = time.perf_counter()
        environment = {**os.environ, "XDG_CACHE_HOME": str(Path(place) / "cache")}
        subprocess.run([sys.executable, "-c", COMMAND], check=True, cwd=place, env=environment, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        metrics = read_metrics(Path(place) / "runs" / "demo-video")
    stages = metrics["seconds_by_stage"]
    columns = ["", "measured", "bar"]
    rows = [
        ["minutes, from Enter to the report", f"{seconds / 60:.1f}", f"below {BAR:g}"],
        *([f"minutes, {stage}", f"{spent / 60:.1f}", ""] for stage, spent in stages.items()),
        *([name, in_words(metrics[name]), ""] for name in SHOWN),
    ]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "video-demo",
        title="The video demo",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={"minutes": seconds / 60, "seconds_by_stage": stages, **{name: metrics[name] for name in SHOWN}},
        seconds=seconds,
        notes="From an empty cache, on the tokenizer of a finished `vqvae demo`. "
        f"Scores are of {metrics['frames']:,} held-out frames; bits per frame are those "
        "of the codes under each prior, `bits_per_code_coder` is that of compressed files.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
