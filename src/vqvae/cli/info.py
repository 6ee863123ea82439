"""``vqvae info RUN``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import parse, say
from vqvae.config import dumps, settings
from vqvae.evaluation.kinds import kind_of
from vqvae.pipeline import TOKENIZER
from vqvae.runs.folder import read_metrics, stored_config


@settings
class Arguments:
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """The run folder."""
    settings: bool = False
    """Print the settings of a part as a file that 'vqvae train --settings FILE' reads."""
    part: str = TOKENIZER
    """Whose settings: tokenizer, prior, prior-1, ..."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Sequence[str]) -> int:
    """Say what a run is, what it was trained on, and its numbers."""
    chosen = parse(Arguments, "info", arguments, "What a run is, what it was trained on, and its numbers.")
    if chosen.settings:
        print(dumps(stored_config(chosen.run, chosen.part)), end="")
        return 0
    model, card = pipeline.load(chosen.run), pipeline.about(chosen.run)
    rate = f" at {model.signal.sample_rate:g} Hz" if model.signal.sample_rate else ""
    what = f"{kind_of(model.signal).unit}{rate}"
    codes = [f"{one.num_codebooks} × {one.codebook_size} codes for each {'×'.join(map(str, one.stride))} {what}" for one in model.layout]
    facts: dict[str, Any] = {
        "recipe": card.recipe,
        "data": card.data,
        "size": "×".join(map(str, model.size)) if model.size else None,
        "tokenizer": f"{type(model.tokenizer).__name__}, {_parameters(model.tokenizer)} parameters",
        "codes": ", ".join(codes),
        "prior": ", ".join(f"{type(prior).__name__}, {_parameters(prior)} parameters" for prior in model.priors) or None,
        "classes": list(model.label_names) if model.is_conditional else [],
        "speakers": list(model.speakers),
    }
    say({**facts, **read_metrics(chosen.run)}, chosen.json)
    return 0


def _parameters(part: Any) -> str:
    return f"{sum(parameter.numel() for parameter in part.parameters()):,}"
