"""Whether exported programs give what PyTorch gives: codes, pictures and waves from onnxruntime, at several sizes and batches.

    python benchmarks/export.py [RUN] [--speech RUN] [--count 40] [--formats onnx pt2] [--out docs/results]

Without RUN, a tokenizer of synthetic pictures is trained for a minute; without --speech, the speech demo's tokenizer for 100 steps. Data is
held-out data of the run. Other sizes are cut from several examples side by side.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

import vqvae
from vqvae.data.base import Batch, Condition
from vqvae.export import FORMATS, export
from vqvae.pipeline import Pipeline
from vqvae.recipes.speech import demo_tokenizer
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.runs.folder import stored_data
from vqvae.training import RunOptions

PICTURES = [(84, 84), (4, 4), (60, 100), (128, 128), (256, 168), (252, 336)]
SECONDS = [1.0, 0.004, 3.3, 10.0]


def trained_pictures(folder: Path) -> Path:
    """A small tokenizer of synthetic pictures."""
    network = {"widths": (32, 32), "residual_blocks": 1, "residual_hidden": 32}
    model = vqvae.VQVAEConfig(
        quantizer=vqvae.EMAQuantizerConfig(dim=32, codebook_size=256, revive_after=50),
        likelihood=vqvae.GaussianConfig(channels=3),
        encoder=vqvae.ImageEncoderConfig(**network),
        decoder=vqvae.ImageDecoderConfig(**network),
    )
    vqvae.train(model, vqvae.SyntheticImagesConfig(), folder, steps=300, scored=False)
    return folder


def trained_speech(folder: Path) -> Path:
    """The tokenizer of the speech demo after 100 steps."""
    config = demo_tokenizer(None)
    assert isinstance(config.data, vqvae.VoicesConfig)
    data, options = dataclasses.replace(config.data, sentences=40), RunOptions(device="cpu")
    vqvae.train(config.model, data, folder, steps=100, batch_size=config.batch_size, options=options, scored=False)
    return folder


def examples(model: Pipeline, held_out: Any, count: int) -> Iterator[torch.Tensor]:
    """Batches of 1 to 4 examples at several sizes, in turn; about ``count`` examples at the first size."""
    pool = held_out.batch(np.arange(min(count, len(held_out)))).x
    stride = model.layout[0].stride
    rate = model.signal.sample_rate
    sizes = PICTURES if rate is None else [(max(1, round(rate * seconds / stride[0])) * stride[0],) for seconds in SECONDS]
    for size in sizes:
        row = 0
        for batch in [1, 3, *[4] * (len(pool) // 4 if size == sizes[0] else 0)]:
            tiles = [-(-length // pool.shape[2 + axis]) for axis, length in enumerate(size)]
            rows = []
            for _ in range(batch):
                rows.append(_tiled(pool, row, tiles))
                row = (row + int(np.prod(tiles))) % len(pool)
            yield torch.stack(rows)[(..., *(slice(length) for length in size))]


def _tiled(pool: torch.Tensor, first: int, tiles: list[int]) -> torch.Tensor:
    """Several examples side by side."""
    whole = pool[(torch.arange(int(np.prod(tiles))) + first) % len(pool)]
    if len(tiles) == 1:
        return torch.cat(list(whole), -1)
    return torch.cat([torch.cat(list(line), -1) for line in whole.split(tiles[1])], -2)


def programs(folder: Path, kind: str) -> tuple[Any, Any]:
    """Functions from data to codes, and from codes (and speakers) to data."""
    if kind == "onnx":
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        sessions = [onnxruntime.InferenceSession(folder / f"{name}.onnx", options) for name in ("encoder", "decoder")]
        named = [[port.name for port in session.get_inputs()] for session in sessions]
        return tuple(
            lambda *given, session=session, names=names: torch.from_numpy(
                session.run(None, {name: one.numpy() for name, one in zip(names, given, strict=True)})[0]
            )
            for session, names in zip(sessions, named, strict=True)
        )
    return tuple(torch.export.load(folder / f"{name}.pt2").module(check_guards=False) for name in ("encoder", "decoder"))


@torch.no_grad()
def compare(model: Pipeline, held_out: Any, folder: Path, kind: str, count: int) -> dict[str, float]:
    """The share of equal codes, and the largest difference of decoded data."""
    export(model, folder, kind)
    encode, decode = programs(folder, kind)
    positions = equal = values = 0
    largest = 0.0
    exact = 0
    for x in examples(model, held_out, count):
        codes = model.tokenizer.encode(Batch(x)).tensor
        speaker = torch.arange(len(x)) % len(model.speakers) if model.speakers else None
        made = model.tokenizer.decode(codes, Condition(label=speaker))
        positions, equal = positions + codes.numel(), equal + int((encode(x) == codes).sum())
        off = (decode(*([codes] if speaker is None else [codes, speaker])).float() - made.float()).abs()
        largest, values, exact = max(largest, float(off.max())), values + off.numel(), exact + int((off == 0).sum())
    share = equal / positions
    return {"positions": positions, "codes_equal": share, "largest_difference": largest, "values": values, "values_equal": exact / values}


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?", help="a run of pictures, such as runs/demo")
    parser.add_argument("--speech", type=Path, help="a run of speech, such as runs/demo-speech")
    parser.add_argument("--count", type=int, default=40, help="examples of the first size")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["onnx"], help="default: onnx")
    parser.add_argument("--out", type=Path, help="folder for export.md and export.json, such as docs/results")
    arguments = parser.parse_args()
    began = time.perf_counter()
    rows, found = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        runs = {
            "pictures": arguments.run or trained_pictures(place / "pictures"),
            "speech": arguments.speech or trained_speech(place / "speech"),
        }
        for name, run in runs.items():
            model, held_out = vqvae.load(run), stored_data(run).held_out
            for kind in arguments.formats:
                one = found[f"{name}_{kind}"] = compare(model, held_out, place / f"{name}-{kind}", kind, arguments.count)
                unit = "levels" if model.signal.levels else "of full scale 1"
                cells = [f"{one['positions']:,}", f"{100 * one['codes_equal']:.4f} %", f"{one['largest_difference']:.2g} {unit}"]
                rows.append([name, kind, *cells, f"{100 * one['values_equal']:.3f} %"])
    columns = ["data", "format", "codes compared", "equal codes", "largest difference of decoded data", "equal values"]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "export",
        title="Exported programs compared with PyTorch",
        columns=columns,
        rows=rows,
        values={"parity": found},
        command=this_command(),
        seconds=time.perf_counter() - began,
        notes=f"Codes and decoded data of `vqvae export`, by onnxruntime {onnxruntime.__version__} (onnx) or PyTorch (pt2), "
        "compared with the tokenizer itself on held-out data. Pictures of 4 × 4 to 252 × 336 pixels and recordings of 4 ms to 10 s, in "
        "batches of 1, 3 and 4. Sizes beyond one example are several examples side by side.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
