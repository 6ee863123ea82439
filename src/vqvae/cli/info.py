"""``vqvae info RUN``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import parse, say
from vqvae.runs.stages import read_metrics


@dataclass(frozen=True, kw_only=True)
class Arguments:
    run: tyro.conf.Positional[Path]
    """The run folder."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Sequence[str]) -> int:
    """Say what a run is, what it was trained on, and its numbers."""
    chosen = parse(Arguments, "info", arguments, "What a run is, what it was trained on, and its numbers.")
    model, about = pipeline.load(chosen.run), pipeline.about(chosen.run)
    level = model.tokenizer.layout[0]
    what = "pixels" if model.rate is None else f"samples at {model.rate} Hz"
    facts: dict[str, Any] = {
        "recipe": about.get("recipe"),
        "data": about.get("data"),
        "size": "×".join(map(str, model.size)) if model.size else None,
        "tokenizer": f"{type(model.tokenizer).__name__}, {_parameters(model.tokenizer)} parameters",
        "codes": f"{level.num_codebooks} × {level.codebook_size} codes for each {'×'.join(map(str, level.stride))} {what}",
        "prior": None if model.prior is None else f"{type(model.prior).__name__}, {_parameters(model.prior)} parameters",
        "classes": list(model.label_names) if model.is_conditional else [],
        "speakers": list(model.speakers),
    }
    say({**facts, **read_metrics(chosen.run)}, chosen.json)
    return 0


def _parameters(part: Any) -> str:
    return f"{sum(parameter.numel() for parameter in part.parameters()):,}"
