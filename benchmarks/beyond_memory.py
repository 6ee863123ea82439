"""Training from shards beside training from memory: images per second in turns, and memory after many steps.

    python benchmarks/beyond_memory.py [--data FOLDER] [--items 1000000] [--threads 2] [--out docs/results]

The pictures are those of CIFAR-10 as PNG files, repeated until there are enough. A tag in each file makes their bytes differ. They lie in
WebDataset tars and in Parquet files. The tokenizer is that of the recipe ``cifar10-small``. Sources take turns; a turn starts with an empty
loader, so no batch is prepared before its time. In the turns "from the disk", the pages of the tars are dropped from memory first.
"""

import argparse
import io
import json
import os
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from PIL import Image

from vqvae.data import ArrayDataset, Cifar10Config, Dataset, ImageShardsConfig, Loader
from vqvae.recipes import RECIPES
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.training import build
from vqvae.words import counted

SHARD, GROUP = 10_000, 1_000
"""Pictures in a file, and in a row group of Parquet."""
BATCH, FEW = 64, 16
"""Pictures of a batch when speed is measured, and when memory is."""
FIRST = 100
"""Steps before the first measurement of memory."""
KINDS = ("tar", "parquet")
BARS = {"share_of_model_speed": 0.95, "memory_growth_mib": 50}


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder of CIFAR-10; default: download it")
    parser.add_argument("--items", type=int, default=1_000_000, help="pictures in the shards")
    parser.add_argument("--threads", type=int, default=2, help="threads of the model")
    parser.add_argument("--turns", type=int, default=5, help="turns of each source")
    parser.add_argument("--steps", type=int, default=20, help="steps of a turn")
    parser.add_argument("--many", type=int, default=500, help="steps before the second measurement of memory")
    parser.add_argument("--place", type=Path, help="where shards are made, or were made before, and kept; default: a temporary folder")
    parser.add_argument("--out", type=Path, help="folder for beyond-memory.md and beyond-memory.json, such as docs/results")
    parser.add_argument("--child", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.child:
        print(json.dumps(memory_of(config_of(*arguments.child).build().train, arguments.many)))
        return
    began = time.perf_counter()
    cifar = Cifar10Config(path=None if arguments.data is None else str(arguments.data)).build().train
    with tempfile.TemporaryDirectory() as temporary:
        place = arguments.place or Path(temporary)
        top = str(place)
        if not (place / KINDS[0]).is_dir():
            write_shards(place, cifar, arguments.items)
        opened = {kind: timed(config_of(kind, top)) for kind in KINDS}
        sides = {kind: dataset for kind, (dataset, _, _) in opened.items()}
        from_memory = in_memory(cifar, len(sides["tar"]))
        sources = {"memory": from_memory, "tars": sides["tar"], "Parquet": sides["parquet"], "tars from the disk": sides["tar"]}
        speeds = in_turns(sources, arguments.turns, arguments.steps, {"tars from the disk": lambda: drop(place / "tar")})
        loading = {name: loading_speed(dataset) for name, dataset in sides.items()}
        memory = {kind: measured(kind, top, arguments) for kind in KINDS}
    shares = {name: statistics.median(np.divide(each, speeds["memory"]).tolist()) for name, each in speeds.items() if name != "memory"}
    growth = {kind: after - before for kind, (before, after) in memory.items()}
    values = {
        "items": arguments.items,
        "share_of_model_speed": min(shares["tars"], shares["Parquet"]),
        "memory_growth_mib": max(growth.values()),
        "shares": shares,
        "images_per_second": {name: statistics.median(each) for name, each in speeds.items()},
        "loading_images_per_second": loading,
        "rss_mib": {kind: {str(FIRST): before, str(arguments.many): after} for kind, (before, after) in memory.items()},
        "seconds_to_index": {kind: first for kind, (_, first, _) in opened.items()},
        "turns": arguments.turns,
        "steps_of_a_turn": arguments.steps,
        "seconds_to_open_again": {kind: again for kind, (_, _, again) in opened.items()},
        "bars": BARS,
    }
    rows = [
        [name, f"{statistics.median(each):,.0f}", f"{shares[name]:.2f}" if name in shares else "", f"{min(each):,.0f} to {max(each):,.0f}"]
        for name, each in speeds.items()
    ]
    columns = ["trained from", "images/s", "share", "range over turns"]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "beyond-memory",
        title="Training data beyond memory",
        command=this_command(),
        columns=columns,
        rows=rows,
        values=values,
        seconds=time.perf_counter() - began,
        notes=NOTES.format(
            turns=counted(arguments.turns, "turns"),
            steps=arguments.steps,
            batch=BATCH,
            few=FEW,
            first=FIRST,
            many=arguments.many,
            tar=memory["tar"],
            parquet=memory["parquet"],
            threads=counted(arguments.threads, "threads"),
            **{name: values[name] for name in ("items", "seconds_to_index", "seconds_to_open_again", "loading_images_per_second")},
        ),
    )
    print(json.dumps(record))


def config_of(kind: str, place: str) -> ImageShardsConfig:
    """The settings of the data in shards of a kind."""
    return ImageShardsConfig(path=f"{place}/{kind}", size=32, classes=True, cache=f"{place}/cache")


def write_shards(place: Path, cifar: Dataset, items: int) -> None:
    """Write the same pictures as tars and as Parquet files. They are at rest before they are indexed."""
    batch = cifar.batch(np.arange(min(items, len(cifar))))
    contents, labels = [png(x) for x in batch.x.numpy()], batch.condition.label.tolist()
    for kind in KINDS:
        (place / kind).mkdir(parents=True)
    for first in range(0, items, SHARD):
        numbers = range(first, min(first + SHARD, items))
        files = [tagged(contents[number % len(contents)], number) for number in numbers]
        some = [labels[number % len(labels)] for number in numbers]
        with tarfile.open(place / "tar" / f"{first // SHARD:05d}.tar", "w") as tar:
            for number, file, label in zip(numbers, files, some, strict=True):
                for suffix, content in (("png", file), ("cls", str(label).encode())):
                    member = tarfile.TarInfo(f"{number:08d}.{suffix}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        table = pyarrow.table({"image": files, "label": some})
        pyarrow.parquet.write_table(table, place / "parquet" / f"{first // SHARD:05d}.parquet", row_group_size=GROUP)
    time.sleep(4)


def png(pixels: np.ndarray) -> bytes:
    """A picture (3, height, width) as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()


def tagged(content: bytes, number: int) -> bytes:
    """A PNG file with a number in a text after its header."""
    text = b"tEXtnumber\0" + str(number).encode()
    return content[:33] + struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text)) + content[33:]


def timed(config: ImageShardsConfig) -> tuple[Dataset, float, float]:
    """The training side, and the seconds that it takes to open the data for the first and for the second time."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        train = config.build().train
        seconds.append(time.perf_counter() - start)
    print(f"{config.path}: {len(train):,} pictures, indexed in {seconds[0]:.0f} s", file=sys.stderr, flush=True)
    return train, seconds[0], seconds[1]


def in_memory(cifar: Dataset, count: int) -> Dataset:
    """As many pictures as the shards have, in one array in memory."""
    images = cifar.batch(np.arange(len(cifar))).x.numpy()
    return ArrayDataset(images, name="memory", rows=np.arange(count) % len(images), signal=cifar.signal)


def in_turns(sources: dict[str, Dataset], turns: int, steps: int, before: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    """Images per second of each source in each turn."""
    train = {name: trainer() for name in sources}
    speeds: dict[str, list[float]] = {name: [] for name in sources}
    for turn in range(-1, turns):  # The first one warms up.
        for name, dataset in sources.items():
            before.get(name, lambda: None)()
            first = (turn + 1) * steps
            start = time.perf_counter()
            for _, batch in Loader(dataset, batch_size=BATCH, seed=0, first_step=first, steps=first + steps):
                train[name](batch)
            if turn >= 0:
                speeds[name].append(steps * BATCH / (time.perf_counter() - start))
        if turn >= 0:
            words = ", ".join(f"{name} {each[-1]:.0f}" for name, each in speeds.items())
            print(f"turn {turn + 1}: {words} images/s", file=sys.stderr, flush=True)
    return speeds


def trainer() -> Callable:
    """A step of training of that tokenizer."""
    config = RECIPES["cifar10-small"].tokenizer(None)
    module = build(config)
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)

    def step(batch: object) -> None:
        loss = module(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def loading_speed(dataset: Dataset, steps: int = 100) -> float:
    """Images per second of the loader alone."""
    start = time.perf_counter()
    for _ in Loader(dataset, batch_size=BATCH, seed=1, steps=steps):
        pass
    return steps * BATCH / (time.perf_counter() - start)


def drop(folder: Path) -> None:
    """Drop the pages of files from the system's memory."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measured(kind: str, place: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """The memory in MiB of a process that trains from shards alone, after few and after many steps."""
    words = [sys.executable, __file__, "--child", kind, place, "--many", str(arguments.many), "--threads", str(arguments.threads)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"Training from {kind} failed: {done.stderr}")
    before, after = json.loads(done.stdout.splitlines()[-1])
    print(f"{kind}: {before:.0f} MiB after {FIRST} steps, {after:.0f} after {arguments.many}", file=sys.stderr, flush=True)
    return before, after


def memory_of(dataset: Dataset, many: int) -> tuple[float, float]:
    """The memory of this process in MiB after ``FIRST`` and after ``many`` steps of training."""
    train, found = trainer(), []
    for step, batch in Loader(dataset, batch_size=FEW, seed=0, steps=many):
        train(batch)
        if step + 1 in (FIRST, many):
            found.append(next(resident()))
    return found[0], found[-1]


def resident() -> Iterator[float]:
    """The resident memory of this process, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            yield int(line.split()[1]) / 1024


NOTES = """
{items:,} pictures of 32 x 32 pixels; medians of {turns} of {steps} steps of {batch} pictures, the model on {threads}. In each turn,
the speed is divided by that from memory; the share is the median of these ratios. "From the disk": the system's copy of the tars in memory
is dropped before each turn.

The loader alone reads {loading_images_per_second[tar]:,.0f} pictures a second from tars and
{loading_images_per_second[parquet]:,.0f} from Parquet. The first start took {seconds_to_index[tar]:.0f} s for tars and
{seconds_to_index[parquet]:.0f} s for Parquet: it makes the index, if there is none. Opening the data again took
{seconds_to_open_again[tar]:.2f} s and {seconds_to_open_again[parquet]:.2f} s.

A process that trains takes {tar[0]:.0f} MiB after {first} steps of {few} pictures from tars and {tar[1]:.0f} MiB after {many}; from
Parquet, {parquet[0]:.0f} and {parquet[1]:.0f} MiB.
"""

if __name__ == "__main__":
    main()
