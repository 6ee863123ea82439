"""``vqvae info RUN``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import parse, say
from vqvae.cli.values import Run
from vqvae.config import dumps, settings
from vqvae.evaluation.kinds import kind_of
from vqvae.pipeline import TOKENIZER, best_step, checkpoint_steps, prior_names
from vqvae.runs.folder import read_metrics, stored_config
from vqvae.storage import RunCard


@settings
class Arguments:
    run: Run
    """The run folder."""
    settings: bool = False
    """Print the settings of a part as a file that 'vqvae train --settings FILE' reads."""
    part: Annotated[str, tyro.conf.arg(metavar="NAME")] = TOKENIZER
    """Whose settings: tokenizer, prior, prior-1, ..."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: Sequence[str]) -> int:
    """Show what a run is, what it was trained on, and its scores."""
    chosen = parse(Arguments, "info", arguments, "Show what a run is, what it was trained on, and its scores.")
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
    metrics = read_metrics(chosen.run)
    if chosen.json:
        say({**facts, **metrics}, as_json=True)
    else:
        facts["size"] = f"{' × '.join(map(str, model.size))} {kind_of(model.signal).unit}" if model.size else None
        say(
            {**facts, "data": _data(card), "priors": _priors(chosen.run), "checkpoints": _checkpoints(chosen.run), **metrics}, as_json=False
        )
    return 0


def _data(card: RunCard) -> str | None:
    """Where the data was when the run was trained, or what it was made from."""
    data = (card.training or {}).get("data")
    if not isinstance(data, dict):
        return "given as an object" if card.data else None
    path = data.get("path")
    return path if isinstance(path, str) else str(data.get("kind", "")).removesuffix("Config")


def _priors(run: Path) -> str | None:
    """The names of the priors."""
    return ", ".join(name or "without a name" for name in prior_names(run)) or None


def _checkpoints(run: Path) -> str | None:
    """The steps of the tokenizer's checkpoints."""
    best = best_step(run)
    return ", ".join(f"step {step:,}{' (best)' if step == best else ''}" for step in checkpoint_steps(run)) or None


def _parameters(part: Any) -> str:
    return f"{sum(parameter.numel() for parameter in part.parameters()):,}"
