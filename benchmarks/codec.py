"""Entropy coding of the codes of a run: speed, size against the cross-entropy and general compressors, and the same bytes everywhere.

    python benchmarks/codec.py [--run runs/demo] [--examples 200] [--out docs/results]

The run needs codes and a coder (``vqvae train`` or ``vqvae train-coder``). Speeds are codes per second of processor time, one thread, one
example at a time; the static mode also has one message of ten million codes. General compressors get all held-out examples as one stream,
in the best of several layouts; ours gets each example alone.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.codec.same_bytes import VARIANTS, digest_of
from vqvae import pipeline, storage
from vqvae.codec import integer_coder
from vqvae.codec.coders import PARTS, coder_folder, coders_of, read_integers
from vqvae.codec.entropy import EntropyCoder
from vqvae.data.base import Batch
from vqvae.data.loader import spread_indices
from vqvae.evaluation.rates.general import general_sizes
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.runs.coder import BITS, BITS_FLOAT
from vqvae.runs.encoding import read_codes

LARGE = 10_000_000
"""Codes of one message in the static mode."""
WARMED_UP = 4
"""Examples before the timing, which compile the loops."""
BARS = {"codes_per_second_integer": 5e3, "codes_per_second_static": 2e7, "smaller_than_best_general": 0.1}


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="a run with one level of codes and a coder")
    parser.add_argument("--examples", type=int, default=200, help="held-out examples")
    parser.add_argument("--out", type=Path, help="folder for codec.md and codec.json, such as docs/results")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    layout = pipeline.about(arguments.run).layout
    held_out = read_codes(arguments.run).held_out
    batch = held_out.batch(spread_indices(held_out, arguments.examples))
    examples = [(codes, batch.condition.take(slice(n, n + 1))) for n, codes in enumerate(batch.x)]
    coders = {mode: coders_of(mode, layout, read_integers(arguments.run, layout))[0] for mode in ("packed", "static", "prior")}
    found = {mode: measure(coder, examples) for mode, coder in coders.items()}
    large = measure_large(coders["static"])
    loop, integer_coder._fast_loop = integer_coder._fast_loop, lambda: None
    plain = measure(coders["prior"], examples[: WARMED_UP + 8])
    integer_coder._fast_loop = loop
    general = {name: size / batch.x.numel() * 8 for name, size in general_sizes([batch.x.numpy()], layout[0].codebook_size).items()}
    best = min(general, key=lambda name: general[name])
    digests = {name: digest_of(coder_folder(arguments.run.resolve(), 0), name) for name in VARIANTS}
    card = storage.read(coder_folder(arguments.run, 0), PARTS).card.metrics
    main_prior = main_bits(arguments.run, batch)
    values = {
        "codes_per_second_integer": min(found["prior"]["encoded"], found["prior"]["decoded"]),
        "codes_per_second_integer_without_numba": plain["decoded"],
        "codes_per_second_static": min(large.values()),
        "codes_per_second": {
            mode: {name: one[name] for name in ("encoded", "decoded")}
            for mode, one in (*found.items(), ("static, at once", large), ("prior without numba", plain))
        },
        "over_cross_entropy": found["prior"]["over"],
        "most_bytes_over_cross_entropy": max(one["most_bytes"] for one in found.values()),
        "smaller_than_best_general": 1 - found["prior"]["bits"] / general[best],
        "bytes_changed": len(set(digests.values())) - 1,
        "variants": list(VARIANTS),
        "bits_per_code": {mode: one["bits"] for mode, one in found.items()} | general,
        "bits_per_code_integer": card[BITS],
        "bits_per_code_float": card[BITS_FLOAT],
        "bits_per_code_main_prior": main_prior,
        "over_float": card[BITS] / card[BITS_FLOAT] - 1,
        "over_main_prior": None if main_prior is None else found["prior"]["cost"] / main_prior - 1,
        "held_out_examples": len(examples),
        "codes": batch.x.numel(),
        "bars": BARS,
    }
    rows = [[mode, f"{one['bits']:.3f}", rate(one["encoded"]), rate(one["decoded"])] for mode, one in found.items()]
    rows[1:2] = [rows[1], [f"static, {LARGE:,} codes at once", "", rate(large["encoded"]), rate(large["decoded"])]]
    rows += [["prior without numba", "", rate(plain["encoded"]), rate(plain["decoded"])]]
    rows += [[f"{name}, all examples at once", f"{bits:.3f}", "", ""] for name, bits in general.items()]
    columns = ["mode", "bits per code", "encoded, codes/s", "decoded, codes/s"]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "codec",
        title="Entropy coding of codes",
        command=this_command(),
        columns=columns,
        rows=rows,
        values=values,
        seconds=time.perf_counter() - began,
        notes=NOTES.format(best=best, main=main_words(values), bytes_words=bytes_words(values["bytes_changed"]), **values),
    )
    print(json.dumps(record))


def measure(coder: EntropyCoder, examples: list) -> dict[str, float]:
    """Size and speed of a coder, one example at a time."""
    ideal, size, most, count, timed, seconds = 0.0, 0, 0.0, 0, 0, {"encoded": 0.0, "decoded": 0.0}
    for n, (codes, given) in enumerate(examples):
        start = time.process_time()
        data = coder.encode(codes, given)
        middle = time.process_time()
        decoded = coder.decode(data, tuple(codes.shape), given)
        end = time.process_time()
        if not torch.equal(decoded, codes):
            raise SystemExit("The codes did not come back.")
        cost = float(coder.costs(codes, given).sum()) / 8
        ideal, size, most, count = ideal + cost, size + len(data), max(most, len(data) - cost), count + codes.numel()
        if n >= WARMED_UP:
            timed += codes.numel()
            seconds["encoded"] += middle - start
            seconds["decoded"] += end - middle
    return {"bits": 8 * size / count, "cost": 8 * ideal / count, "over": size / ideal - 1, "most_bytes": most} | {
        name: timed / one for name, one in seconds.items()
    }


def main_bits(run: Path, batch: Batch) -> float | None:
    """Bits per code of the run's main prior on the timed examples; None if the run has no prior."""
    model = pipeline.load(run)
    if model.priors is None:
        return None
    with torch.no_grad():
        nats = sum(float(model.log_prior(part.x, part.condition).sum()) for part in batch.split(16))
    return -nats / np.log(2) / batch.x.numel()


def main_words(values: dict) -> str:
    """The main prior in words."""
    prior = values["bits_per_code_main_prior"]
    return "" if prior is None else f" On the examples of the table, the run's main prior costs {prior:.3f}."


def bytes_words(changed: int) -> str:
    """How many variants gave other bytes, in words."""
    return "the same bytes" if not changed else f"{changed + 1} different messages"


def measure_large(coder: EntropyCoder) -> dict[str, float]:
    """The speed of one long message, drawn from the frequencies of the coder."""
    frequencies = np.diff(coder._starts)[0]
    codes = np.random.default_rng(0).choice(len(frequencies), LARGE, p=frequencies / frequencies.sum())
    (found,) = [torch.from_numpy(codes)[None]]
    coder.decode(coder.encode(found[:, :99]), (1, 99))
    start = time.process_time()
    data = coder.encode(found)
    middle = time.process_time()
    same = torch.equal(coder.decode(data, (1, LARGE)), found)
    end = time.process_time()
    if not same:
        raise SystemExit("The codes did not come back.")
    return {"encoded": LARGE / (middle - start), "decoded": LARGE / (end - middle)}


def rate(codes_per_second: float) -> str:
    """A speed with three digits."""
    return f"{float(f'{codes_per_second:.3g}'):,.0f}"


NOTES = """
{held_out_examples} held-out examples, each encoded alone. Speeds are per second of processor time on one thread, after
compilation (without numba, of 8 examples). The
messages of the mode `prior` are {over_cross_entropy:.2%} longer than the sum of -log2 p of their codes. No message of any mode is more than
{most_bytes_over_cross_entropy:.2f} bytes longer than that. The mode `prior` is {smaller_than_best_general:.1%} smaller than the best
general compressor ({best}).

On the examples that the coder was scored on, the integer prior costs {bits_per_code_integer:.4f} bits per code, and the network that it was
rounded from {bits_per_code_float:.4f}.{main}

The same codes give {bytes_words} with one and with four threads, as 16 copies, with deterministic algorithms, without AVX
(`NUMBA_CPU_NAME=generic` and the like), and without numba.
"""

if __name__ == "__main__":
    main()
