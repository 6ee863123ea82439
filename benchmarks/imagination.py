"""Imagined frames per second: drawn code by code, and in a few parallel passes per frame.

    python benchmarks/imagination.py [--frames 30] [--rounds 5] [--out docs/results]

The models are those of the recipe ``worlds-video``, frames of 84×84 pixels in 21×21 codes, with random weights: the cost does not depend on
them. One clip at a time: six known frames are encoded, the codes of all further frames are drawn, and then these are decoded.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from turns import take_turns

from vqvae import Pipeline
from vqvae.priors import MaskedPriorConfig, Prior, WorldPriorConfig
from vqvae.recipes import RECIPES
from vqvae.reports.results import markdown_table, this_command, write_results
from vqvae.storage import RunCard

ACTIONS = ("forward", "left", "right", "forward_left", "forward_right")
CONTEXT, SIDE, CODES, BAR, MASKED_BAR = 6, 84, 512, 8, 16


def main() -> None:
    """Print the table, then one line of JSON; with ``--out`` write both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=30, help="imagined frames per round")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each")
    parser.add_argument("--out", type=Path, help="folder for imagination.md and .json, such as docs/results")
    arguments = parser.parse_args()

    began = time.perf_counter()
    torch.manual_seed(0)
    tokenizer = RECIPES["worlds-video"].tokenizer(None).model.build().eval()
    card = RunCard(signal=tokenizer.signal, layout=tokenizer.layout, action_names=ACTIONS)
    given = {"codebook_size": CODES, "actions": len(ACTIONS)}
    masked = MaskedPriorConfig(memory=64, clip_length=4, **given)
    priors: dict[str, Prior] = {"code by code": WorldPriorConfig(**given).build(), f"{masked.passes} passes": masked.build()}
    pipelines = {name: Pipeline(tokenizer, prior.eval(), card=card) for name, prior in priors.items()}
    known = torch.randint(0, 256, (1, 3, CONTEXT, SIDE, SIDE), dtype=torch.uint8)
    plan = ["forward"] * arguments.frames
    for pipeline in pipelines.values():
        pipeline.imagine(known, plan[:2])  # Compiles the kernel.
    found = take_turns({name: lambda of=of: of.imagine(known, plan) for name, of in pipelines.items()}, arguments.rounds)
    rates = [arguments.frames / seconds for seconds in found.seconds.values()]
    columns = ["", "frames per second", "bar"]
    rows = [(name, f"{rate:.1f}", str(bar)) for name, rate, bar in zip(pipelines, rates, (BAR, MASKED_BAR), strict=True)]
    print(markdown_table(columns, rows))
    record = write_results(
        arguments.out,
        "imagination",
        title="Imagined frames per second",
        command=this_command(),
        columns=columns,
        rows=rows,
        values={"frames_per_second": rates[0], "frames_per_second_masked": rates[1]},
        seconds=time.perf_counter() - began,
        notes=f"{arguments.frames} frames of 21×21 codes after {CONTEXT} known ones, one clip at a time, encoding and decoding included; "
        f"medians of {arguments.rounds} rounds in turns. Other programs used up to {found.others:.1f} cores meanwhile.",
    )
    print(json.dumps(record))


if __name__ == "__main__":
    main()
