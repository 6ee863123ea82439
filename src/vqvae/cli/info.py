"""``vqvae info RUN|FILE.vqz``."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from vqvae import pipeline
from vqvae.cli.arguments import parse, say
from vqvae.cli.compressed import read_facts
from vqvae.codec.container import VERSION
from vqvae.codec.fingerprint import fingerprint
from vqvae.codes import Level
from vqvae.config import dumps, settings
from vqvae.evaluation.kinds import kind_of
from vqvae.pipeline import TOKENIZER, best_step, checkpoint_steps, prior_names
from vqvae.runs.folder import read_metrics, stored_config
from vqvae.signals import Signal
from vqvae.storage import RunCard


@settings
class Arguments:
    place: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN|FILE.vqz")]
    """The run folder, or a file that 'vqvae compress' wrote."""
    settings: bool = False
    """Print the settings of a part, for a file that 'vqvae train --settings FILE' reads."""
    part: Annotated[str, tyro.conf.arg(metavar="NAME")] = TOKENIZER
    """The part whose settings are printed: tokenizer, prior, prior-1, ..."""
    json: bool = False
    """Print the results as one JSON object."""


def main(arguments: Sequence[str]) -> int:
    """Show what a run is, what it was trained on, and its scores; or what a compressed file contains."""
    about = "Show what a run is, what it was trained on, and its scores. Or show what a compressed file contains."
    chosen = parse(Arguments, "info", arguments, about)
    if chosen.place.is_file():
        say(_of_file(chosen.place), as_json=chosen.json)
        return 0
    run = pipeline.local_run(chosen.place)
    if chosen.settings:
        print(dumps(stored_config(run, chosen.part)), end="")
        return 0
    model, card = pipeline.load(run), pipeline.about(run)
    what = _positions(model.signal)
    facts: dict[str, Any] = {
        "recipe": card.recipe,
        "data": card.data,
        "size": "×".join(map(str, model.size)) if model.size else None,
        "tokenizer": f"{type(model.tokenizer).__name__}, {_parameters(model.tokenizer)} parameters",
        "codes": _codes(model.layout, what),
        "prior": ", ".join(f"{type(prior).__name__}, {_parameters(prior)} parameters" for prior in model.priors) or None,
        "classes": list(model.label_names) if model.is_conditional else [],
        "speakers": list(model.speakers),
        "model": fingerprint(model.tokenizer).hex(),
    }
    metrics = read_metrics(run)
    if chosen.json:
        say({**facts, **metrics}, as_json=True)
    else:
        facts["size"] = _size(model.size, model.signal)
        say({**facts, "data": _data(card), "priors": _priors(run), "checkpoints": _checkpoints(run), **metrics}, as_json=False)
    return 0


def _of_file(file: Path) -> dict[str, Any]:
    """What a compressed file contains. All of it is read, and its checksums are checked. No model is needed.

    Raises:
        BitstreamError: if it is damaged, or not a compressed file.
        DataError: if it cannot be read.
    """
    count, (header, coded) = file.stat().st_size, read_facts(file)
    codes = sum(level.num_codebooks * math.prod(space) for level, space in zip(header.layout, header.spaces(), strict=True))
    return {
        "format": VERSION,
        "mode": header.mode,
        "kind": kind_of(header.signal).name,
        "size": _size(header.size, header.signal),
        "codes": _codes(header.layout, _positions(header.signal)),
        "label": header.label,
        "model": header.model.hex(),
        "coder": header.coder.hex() if any(header.coder) else None,
        "sections": header.parts() * len(header.layout),
        "bytes": count,
        "file_bits_per_code": 8 * coded / codes,
        "bits_per_position": 8 * count / math.prod(header.size),
    }


def _codes(layout: Sequence[Level], positions: str) -> str:
    each = "{0.num_codebooks} × {0.codebook_size} codes for each {1} {2}"
    return ", ".join(each.format(level, "×".join(map(str, level.stride)), positions) for level in layout)


def _positions(signal: Signal) -> str:
    return kind_of(signal).unit + (f" at {signal.sample_rate:g} Hz" if signal.sample_rate else "")


def _size(size: Sequence[int] | None, signal: Signal) -> str | None:
    return f"{' × '.join(map(str, size))} {kind_of(signal).unit}" if size else None


def _data(card: RunCard) -> str | None:
    """The place of the training data, or the kind of generated data."""
    data = (card.training or {}).get("data")
    if not isinstance(data, dict):
        return "an object from Python" if card.data else None
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
