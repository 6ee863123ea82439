"""Bulk tokenization: two workers beside one, both engines, the bare model, memory, and CIFAR-10 read back by other libraries.

    python benchmarks/tokenization.py [--run runs/demo] [--data FOLDER] [--rounds 3] [--out docs/results]

The data is the training set of CIFAR-10, as an array and as PNG files in a Parquet table. Every worker has one thread. Times are of whole
calls of ``vqvae.tokenize``: start of the workers, loading, encoding, writing and the manifest. Engines take turns; medians count.
"""

import argparse
import io
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from PIL import Image

import vqvae
from vqvae.data import Batch, Cifar10Config
from vqvae.pipeline import Pipeline
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.tokenization.bulk import read_manifest
from vqvae.words import counted

SHARD = 1000
"""Items in a shard."""
BATCHES = (16, 64, 256)
"""Batches of the bare model; the fastest counts."""
FEW = 1000
"""Items of the smaller measurement of memory."""
BARS = {"ratio_local": 1.7, "ratio_ray": 1.5, "share_of_model": 0.85}
CHILD = """
import re, sys
from vqvae.cli.main import main
status = main()
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
sys.exit(status)
"""
"""Prints the peak of its memory in KiB. What the system reports of a child includes the memory of its parent."""


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="a run of colour pictures")
    parser.add_argument("--data", type=Path, help="the folder of CIFAR-10; default: download it")
    parser.add_argument("--items", type=int, default=50_000, help="pictures to time; beyond 50,000, they repeat")
    parser.add_argument("--many", type=int, default=100_000, help="items of the larger measurement of memory")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each engine")
    parser.add_argument("--out", type=Path, help="folder for tokenization.md and tokenization.json, such as docs/results")
    arguments = parser.parse_args()
    began = time.perf_counter()
    os.environ["OMP_NUM_THREADS"] = "1"  # Of the workers.
    images = Cifar10Config(path=None if arguments.data is None else str(arguments.data)).build().train
    batch = images.batch(np.arange(arguments.items) % len(images))
    with tempfile.TemporaryDirectory() as top:
        place = Path(top)
        np.save(place / "x.npy", batch.x.numpy())
        write_table(place / "x.parquet", batch, arguments.items)
        calls = engines(arguments.run, place)
        seconds = {name: statistics.median(each) for name, each in timed(calls, place, arguments.rounds).items()}
        bare = bare_speed(vqvae.load(arguments.run), batch.x)
        found = read_back(place, arguments.items)
        memory = memory_of(arguments.run, place, batch, arguments.many)
    speeds = {name: arguments.items / each for name, each in seconds.items()}
    values = {
        "ratio_local": seconds["one worker"] / seconds["two workers"],
        "ratio_ray": seconds["one worker"] / seconds["two actors on Ray"],
        "share_of_model": speeds["two workers"] / bare,
        "share_of_model_png": speeds["two workers, PNG in Parquet"] / bare,
        "images_per_second": speeds | {"bare model, two threads": bare},
        "peak_mib": memory,
        "memory_growth": max(one[arguments.many] / one[FEW] for one in memory.values()),
        "read_back": found,
        "items": arguments.items,
        "rounds": arguments.rounds,
        "bars": BARS,
    }
    rows = [[name, f"{seconds[name]:.1f}", f"{speed:,.0f}"] for name, speed in speeds.items()]
    rows.append(["bare model, two threads", "", f"{bare:,.0f}"])
    columns = ["what", "seconds", "images/s"]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "tokenization",
        title="Bulk tokenization",
        command=this_command(),
        columns=columns,
        rows=rows,
        values=values,
        seconds=time.perf_counter() - began,
        notes=NOTES.format(
            few=FEW,
            many=arguments.many,
            peaks=", ".join(f"{name} {one[FEW]:.0f} and {one[arguments.many]:.0f}" for name, one in memory.items()),
            turns=counted(arguments.rounds, "rounds"),
            **values,
        ),
    )
    print(json.dumps(record))


def engines(run: Path, place: Path) -> dict[str, Callable[[Path], dict]]:
    """The calls to time, by name. Each takes the folder of its shards."""

    def call(data: str, engine: str, workers: int) -> Callable[[Path], dict]:
        return lambda out: vqvae.tokenize(
            run, place / data, out, engine=engine, workers=workers, shard_size=SHARD, device="cpu", column=column(data)
        )

    return {
        "one worker": call("x.npy", "local", 1),
        "two workers": call("x.npy", "local", 2),
        "two actors on Ray": call("x.npy", "ray", 2),
        "two workers, PNG in Parquet": call("x.parquet", "local", 2),
    }


def column(data: str) -> str | None:
    """The column of the pictures in a table."""
    return "image" if data.endswith(".parquet") else None


def timed(calls: dict[str, Callable[[Path], dict]], place: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each call in each round. The shards of the last round stay in ``place / NAME``."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            shutil.rmtree(place / name, ignore_errors=True)
            start = time.perf_counter()
            call(place / name)
            found[name].append(time.perf_counter() - start)
            print(f"{name}: {found[name][-1]:.1f} s", file=sys.stderr, flush=True)
    return found


def bare_speed(model: Pipeline, images: torch.Tensor) -> float:
    """Images per second of the tokenizer alone, on two threads, from memory to codes."""
    threads, speeds = torch.get_num_threads(), []
    torch.set_num_threads(2)
    images = images[:8192]
    with torch.no_grad():
        for size in BATCHES:
            model.tokenizer.encode(Batch(images[:size]))
            start = time.perf_counter()
            for part in images.split(size):
                model.tokenizer.encode(Batch(part))
            speeds.append(len(images) / (time.perf_counter() - start))
    torch.set_num_threads(threads)
    return max(speeds)


def read_back(place: Path, items: int) -> dict[str, object]:
    """What other libraries read from the shards of both engines; raises if it is not what was written."""
    whole = {}
    for name in ("two workers", "two actors on Ray"):
        files = sorted((place / name / "shards").glob("*.parquet"))
        read = datasets.load_dataset("parquet", data_files=[str(file) for file in files], split="train", cache_dir=str(place / "cache"))
        codes = np.array(read.with_format("numpy")["codes"][:])
        query = f"select count(*), sum(list_sum(codes)), min(len(codes)) from '{place / name}/shards/*.parquet'"
        count, total, length = duckdb.sql(query).fetchall()[0]
        if (len(read), count, int(total), length) != (items, items, int(codes.sum()), codes.shape[1]):
            raise SystemExit(f"{name}: {len(read)} rows by datasets, {count} by DuckDB; {items} were written.")
        whole[name] = [file.read_bytes() for file in files]
    if whole["two workers"] != whole["two actors on Ray"]:
        raise SystemExit("The engines wrote different shards.")
    return {"rows": items, "codes_per_row": length, "engines_agree": True}


def memory_of(run: Path, place: Path, batch: Batch, many: int) -> dict[str, dict[int, float]]:
    """The peak of memory in MiB of a process that tokenizes so many pictures, PNG files that lie in several ways."""
    found: dict[str, dict[int, float]] = {}
    for (kind, write), count in itertools.product(WAYS.items(), (FEW, many)):
        data, out = place / (f"{count}.parquet" if write is write_table else f"{kind} {count}"), place / f"{kind} {count} codes"
        write(data, batch, count)
        words = ["tokenize", str(run), str(data), "--out", str(out), "--workers", "1", "--shard-size", str(SHARD)]
        words += ["--column", "image"] if write in (write_table, write_to_disk) else []
        done = subprocess.run([sys.executable, "-c", CHILD, *words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"Tokenizing {count} items of {kind} failed: {done.stderr}")
        if (written := read_manifest(out)["items"]) != count:
            raise SystemExit(f"Of {count} items of {kind}, {written} were tokenized.")
        found.setdefault(kind, {})[count] = int(done.stdout.splitlines()[-1]) / 1024
        print(f"{kind}, {count:,} items: {found[kind][count]:.0f} MiB", file=sys.stderr, flush=True)
    return found


def files_of(batch: Batch, count: int) -> Iterator[tuple[bytes, int]]:
    """Pictures as PNG files with their labels, repeated until there are enough."""
    contents = [png(x) for x in batch.x[:count].numpy()]
    labels = batch.condition.label[: len(contents)].tolist()
    return itertools.islice(itertools.cycle(zip(contents, labels, strict=True)), count)


def in_shards(items: Iterator) -> Iterator[list]:
    """Items in lists of ``SHARD``."""
    return iter(lambda: list(itertools.islice(items, SHARD)), [])


def write_table(path: Path, batch: Batch, count: int) -> None:
    """Write pictures into a Parquet table with labels."""
    schema = pyarrow.schema([("image", pyarrow.binary()), ("label", pyarrow.int64())])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for some in in_shards(files_of(batch, count)):
            contents, labels = zip(*some, strict=True)
            writer.write_table(pyarrow.table({"image": list(contents), "label": list(labels)}, schema))


def write_folder(path: Path, batch: Batch, count: int) -> None:
    """Write pictures as files, in a folder of each class."""
    for number, (content, label) in enumerate(files_of(batch, count)):
        folder = path / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:06d}.png").write_bytes(content)


def write_tars(path: Path, batch: Batch, count: int) -> None:
    """Write pictures into WebDataset tars with labels."""
    path.mkdir()
    for shard, some in enumerate(in_shards(enumerate(files_of(batch, count)))):
        with tarfile.open(path / f"{shard:05d}.tar", "w") as tar:
            for number, (content, label) in some:
                for suffix, member in (("png", content), ("cls", str(label).encode())):
                    about = tarfile.TarInfo(f"{number:08d}.{suffix}")
                    about.size = len(member)
                    tar.addfile(about, io.BytesIO(member))


def write_to_disk(path: Path, batch: Batch, count: int) -> None:
    """Write pictures with ``save_to_disk`` of Hugging Face's datasets."""
    contents, labels = zip(*files_of(batch, count), strict=True)
    datasets.Dataset.from_dict({"image": list(contents), "label": list(labels)}).save_to_disk(path)


def png(pixels: np.ndarray) -> bytes:
    """A picture (3, height, width) as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


WAYS = {"Parquet": write_table, "a folder": write_folder, "tars": write_tars, "save_to_disk": write_to_disk}
"""How pictures are written whose memory is measured, by name."""

NOTES = """
{items:,} training images of CIFAR-10 (beyond 50,000 they repeat), medians of {turns}. Two workers are {ratio_local:.2f} times as fast as
one, two actors on Ray {ratio_ray:.2f} times. Two workers reach {share_of_model:.0%} of the images per second of the bare model
on two threads, and {share_of_model_png:.0%} if the images are PNG files in a Parquet table.

`datasets` and DuckDB read the shards of both engines, which are the same bytes.

The peak of the memory of a process with one worker, in MiB, for {few:,} and for {many:,} pictures: {peaks}.
With {many:,} pictures, the peak is at most {memory_growth:.2f} times as high.
"""

if __name__ == "__main__":
    main()
