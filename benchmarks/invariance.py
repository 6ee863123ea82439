"""How many codes change if the same examples are encoded in other batches, with padding, in pieces, or on two threads.

    python benchmarks/invariance.py --run runs/demo runs/demo-speech [--data FOLDER] [--count 10000] [--rotate] [--out docs/results]

Each way is compared with the codes of all examples in one call on one thread. The first examples (``--bare``) are also encoded in the same
ways by the bare tokenizer: that shows what changes without fixed shapes. Recordings have lengths from 10 ms up to that of an example of
the run; every tenth one is ten examples long. They follow from ``--seed``. With ``--rotate``, 64 examples after 64 go through one way each,
in turn.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

import vqvae
from vqvae.data.base import Batch, Dataset
from vqvae.models.streaming import encode_stream
from vqvae.pipeline import Pipeline
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.runs.folder import found_data, stored_data

AT_ONCE = 64
"""Examples that are in memory at once."""
LONG_EVERY, LONG = 10, 10

Codes = list[Tensor]
"""The codes (codebooks, *space) of each example."""
Encode = Callable[[Batch], tuple[Tensor, Tensor | None]]
"""A batch to the codes of its only level, and their mask."""


class Way(NamedTuple):
    """A way to encode examples."""

    name: str
    encode: Callable[[Pipeline, Encode, list[Tensor]], Codes]
    threads: int = 1


def batched(size: int, *, padding: bool = False) -> Callable[[Pipeline, Encode, list[Tensor]], Codes]:
    """Encode batches of ``size`` examples. Without padding, only examples of one size share a batch."""

    def encode(model: Pipeline, once: Encode, examples: list[Tensor]) -> Codes:
        found: dict[int, Tensor] = {}
        groups: dict[torch.Size, list[int]] = {}
        for number, example in enumerate(examples):
            groups.setdefault(torch.Size() if padding else example.shape, []).append(number)
        for numbers in groups.values():
            for first in range(0, len(numbers), size):
                part = numbers[first : first + size]
                batch = padded([examples[number] for number in part]) if padding else Batch(torch.stack([examples[n] for n in part]))
                codes, mask = once(batch)
                for row, number in enumerate(part):
                    found[number] = codes[row] if mask is None else codes[row][:, mask[row]]
        return [found[number] for number in range(len(examples))]

    return encode


def padded(examples: list[Tensor]) -> Batch:
    """Recordings (1, time) as a batch with a mask. Beyond the ends there is noise."""
    longest = max(example.shape[1] for example in examples)
    x = torch.rand(len(examples), 1, longest, generator=torch.Generator().manual_seed(0)) - 0.5
    mask = torch.zeros(len(examples), longest, dtype=torch.bool)
    for row, example in enumerate(examples):
        x[row, :, : example.shape[1]] = example
        mask[row, : example.shape[1]] = True
    return Batch(x, mask=mask)


def streamed(seconds: float) -> Callable[[Pipeline, Encode, list[Tensor]], Codes]:
    """Encode each recording as a stream of blocks of some length."""

    def encode(model: Pipeline, once: Encode, examples: list[Tensor]) -> Codes:
        size = max(1, round(seconds * (model.signal.sample_rate or 1)))
        blocks = [example[None].split(size, -1) for example in examples]
        return [torch.cat([*encode_stream(model._streaming(), one)], -1)[0] for one in blocks]

    return encode


EVERY = [Way("alone", batched(1)), Way("batches of 7", batched(7)), Way("batches of 32", batched(32)), Way("2 threads", batched(32), 2)]
OVER_TIME = [
    Way("batches of 7, with padding", batched(7, padding=True)),
    Way("batches of 32, with padding", batched(32, padding=True), 2),
]
STREAMS = [Way("pieces of 1 s", streamed(1.0)), Way("pieces of 10 s", streamed(10.0), 2)]


@contextmanager
def on(threads: int) -> Iterator[None]:
    """Run with this number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def examples_of(dataset: Dataset, count: int, seed: int) -> Iterator[list[Tensor]]:
    """Examples of a run's data, ``AT_ONCE`` at a time: pictures as they are, recordings of many lengths."""
    draws = np.random.default_rng(seed)
    over_time = len(dataset.signal.axes) == 1
    for first in range(0, count, AT_ONCE):
        found: list[Tensor] = []
        for number in range(first, min(first + AT_ONCE, count)):
            if not over_time:
                found.append(dataset.batch(np.array([number % len(dataset)])).x[0])
                continue
            several = LONG if number % LONG_EVERY == 0 else 1
            whole = torch.cat([*dataset.batch(draws.integers(len(dataset), size=several)).x], -1)
            found.append(whole[:, : draws.integers(min(160, whole.shape[1]), whole.shape[1], endpoint=True)])
        yield found


def through_pipeline(model: Pipeline) -> Encode:
    """``Pipeline.encode_batch``."""

    def encode(batch: Batch) -> tuple[Tensor, Tensor | None]:
        codes = model.encode_batch(batch)
        return codes.tensor, codes.mask

    return encode


def through_tokenizer(model: Pipeline) -> Encode:
    """The tokenizer's own ``encode``, in the batches that come."""

    @torch.no_grad()
    def encode(batch: Batch) -> tuple[Tensor, Tensor | None]:
        codes = model.tokenizer.encode(batch)
        return codes.tensor, codes.mask

    return encode


class Changed(NamedTuple):
    """What one way changes."""

    changed: int = 0
    """Codes that differ."""
    codes: int = 0
    """Codes that were compared."""
    examples: int = 0
    """Examples that were compared."""


def compare(expected: Codes, found: Codes) -> Changed:
    """Compare codes of the same examples."""
    differ = [int((one != other).sum()) if one.shape == other.shape else one.numel() for one, other in zip(expected, found, strict=True)]
    return Changed(sum(differ), sum(one.numel() for one in expected), len(expected))


def measure(model: Pipeline, dataset: Dataset, chosen: argparse.Namespace, count: int) -> dict[str, dict[str, Changed]]:
    """For each way what it changes: through the pipeline, and through the bare tokenizer."""
    ways = [*EVERY, *(OVER_TIME if model.tokenizer.takes_masks else []), *(STREAMS if model.tokenizer.streams else [])]
    ours, bare, done = through_pipeline(model), through_tokenizer(model), 0
    changed = {way.name: {"pipeline": Changed(), "tokenizer": Changed()} for way in ways}

    def count_in(way: Way, name: str, more: Changed) -> None:
        changed[way.name][name] = Changed(*(before + one for before, one in zip(changed[way.name][name], more, strict=True)))

    for turn, examples in enumerate(examples_of(dataset, count, chosen.seed)):
        with on(1):
            expected = [codes.tensor[0] for codes in model.encode_each(examples)]
        for way in [ways[turn % len(ways)]] if chosen.rotate else ways:
            with on(way.threads):
                count_in(way, "pipeline", compare(expected, way.encode(model, ours, examples)))
        if done < chosen.bare:
            with on(1):
                alone = EVERY[0].encode(model, bare, examples)
            for way in ways:
                if way not in STREAMS and way != EVERY[0]:  # A stream has no other way than fixed pieces.
                    with on(way.threads):
                        count_in(way, "tokenizer", compare(alone, way.encode(model, bare, examples)))
        done += len(examples)
    return changed


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, nargs="+", required=True, help="runs, such as runs/demo runs/demo-speech")
    parser.add_argument("--data", help="where the data of the runs is now; default: where it was in training")
    parser.add_argument("--count", type=int, nargs="+", default=[10_000], help="examples of each run")
    parser.add_argument("--bare", type=int, default=1_000, help="examples of each run that the bare tokenizer encodes too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rotate", action="store_true", help="take each example through one way only, in turn")
    parser.add_argument("--out", type=Path, help="folder for invariance.md and invariance.json, such as docs/results")
    chosen = parser.parse_args(arguments)
    began, rows, found = time.perf_counter(), [], {}
    for number, run in enumerate(chosen.run):
        model, count = vqvae.load(run, "cpu"), chosen.count[min(number, len(chosen.count) - 1)]
        data = (stored_data(run) if chosen.data is None else found_data(run, chosen.data)).train
        changed = measure(model, data, chosen, count)
        found[run.name] = {
            "examples": count,
            "ways": {way: {kind: one._asdict() for kind, one in of.items()} for way, of in changed.items()},
        }
        for way, of in changed.items():
            cells = [f"{one.changed:,} of {one.codes:,}" if one.codes else "–" for one in of.values()]
            rows.append([run.name, way, f"{of['pipeline'].examples:,}", *cells])
    columns = ["run", "encoded", "examples", "codes changed", "changed by the bare tokenizer"]
    print(markdown_table(columns, rows))
    record = write_results(
        chosen.out,
        "invariance",
        title="Codes in other batches, pieces and threads",
        columns=columns,
        rows=rows,
        values={
            "codes_changed": sum(way["pipeline"]["changed"] for one in found.values() for way in one["ways"].values()),
            "examples": sum(one["examples"] for one in found.values()),
            "runs": found,
        },
        command=this_command(),
        seconds=time.perf_counter() - began,
        notes="The table counts codes that differ from those of one call of `Pipeline.encode_each` on one thread. The last column is the "
        f"tokenizer's own `encode` in the same batches, for {chosen.bare:,} examples, compared with these examples alone on one thread. "
        "Recordings have lengths from "
        "10 ms up to that of a training example. Every tenth one is up to ten times as long. Batches with padding have noise beyond the "
        "ends.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
