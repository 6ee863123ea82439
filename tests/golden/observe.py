"""What is looked at of a stored part, a run or a set of codes. What is found here is what ``make.py`` writes and what the test compares."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import vqvae
from tests.golden import bridge
from tests.golden.bridge import Batch, CodesDataset

TIMES = {"seconds", "seconds_by_stage", "examples_per_second", "waited_share"}
"""What no two runs have alike."""


class Seen(NamedTuple):
    """Tensors and numbers by name. What a decoder or a prior draws value by value has a name that begins with 'chain'."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


def observe_part(part: nn.Module, batch: Batch) -> Seen:
    """Look at any trained part."""
    numbers = bridge.objective(part, batch)
    with torch.inference_mode():
        if isinstance(part, vqvae.Joint):
            both = {"tokenizer": _tokenizer(part.tokenizer, batch)}
            both["prior"] = _prior(part.prior, Batch(both["tokenizer"]["codes"], batch.condition))
            return Seen({f"{name}.{key}": value for name, found in both.items() for key, value in found.items()}, numbers)
        if isinstance(part, bridge.Tokenizer):
            return Seen(_tokenizer(part, batch), numbers)
        if isinstance(part, vqvae.VAE):
            return Seen(_vae(part, batch), numbers)
        return Seen(_prior(part, batch) if isinstance(part, bridge.Prior) else {}, numbers)


def observe_codes(folder: Path) -> Seen:
    """Look at a set of codes."""
    codes = CodesDataset(folder)
    header = codes.header
    x, condition, mask, _ = codes.batch(np.arange(len(codes)))
    tensors = {"codes": x, "label": condition.label, "mask": mask}
    numbers = {"count": len(codes), "codebook_size": header.codebook_size, "num_codebooks": header.num_codebooks}
    return Seen({name: value for name, value in tensors.items() if value is not None}, {**numbers, "label_names": list(codes.label_names)})


def observe_run(run: Path, x: Tensor) -> Seen:
    """Look at a finished run through what ``vqvae.load`` gives."""
    model = vqvae.load(run)
    voices = {"speaker": 1} if model.speakers else {}
    found = {"codes": model.encode(x), "chain sample": model.sample(3, seed=0)}
    found["decoded"] = model.decode(found["codes"], tuple(x.shape[2:]), **voices)
    named = {"label": 1} if model.is_conditional or model.speakers else {}
    found["chain named sample"] = model.sample(2, seed=1, temperature=0.8, top_k=6, **named)
    found["chain likely sample"] = model.sample(1, temperature=0.0, **named)
    if x.dtype == torch.uint8:
        found["bits_per_dim"] = model.bits_per_dim(x)
        if model.is_conditional:
            found["bits_per_dim of labels"] = model.bits_per_dim(x, torch.arange(len(x)) % 2)
    if model.speakers:
        found["converted"] = model.convert(x, model.speakers[0])
        found["streamed"] = torch.cat(list(model.reconstruct_stream(iter(x[:1].split(100, 2)), 1)), 2)
    for side in ("train", "held-out"):
        found |= {f"{side} {name}": value for name, value in observe_codes(run / "codes" / side).tensors.items()}
    return Seen(found, {"label_names": list(model.label_names), "size": list(model.size or ()), "rate": model.signal.sample_rate})


def evaluate(run: Path, say: Callable[[], str], *arguments: str) -> dict[str, Any]:
    """``vqvae evaluate RUN --json``; ``say`` gives what was printed."""
    assert bridge.command(["evaluate", str(run), "--json", "--threads", "1", "--device", "cpu", *arguments]) == 0
    return {name: value for name, value in json.loads(say()).items() if name not in TIMES}


def rows_of(folder: Path, after: int) -> dict[str, float]:
    """What a training noted after a step."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {f"{row['step']} {name}": v for row in rows if row["step"] > after for name, v in row.items() if name not in {*TIMES, "stage"}}


def _tokenizer(model: bridge.Tokenizer, batch: Batch) -> dict[str, Tensor]:
    size, drawn = tuple(batch.x.shape[2:]), torch.Generator().manual_seed(0)
    (codes,) = model.encode(batch)
    found = {"codes": codes, "latents": model.latents(batch)}
    if not model.layout[0].num_codebooks:
        return found
    chain = "chain " if model.draws else ""
    found[f"{chain}decoded"] = model.decode((codes,), batch.condition, size=size)
    found[f"{chain}drawn"] = model.decode((codes,), batch.condition, drawn, 1.0, size)
    if model.draws:
        found["chain cool"] = model.decode((codes,), batch.condition, drawn.manual_seed(1), 0.5, size)
    if model.has_likelihood:
        found |= _bounds(model, batch)
        found["log_likelihood of codes"] = model.log_likelihood(batch, (codes,))
        found[f"{chain}reconstructed"], _ = model.reconstruct(batch, (codes,))
    if batch.x.is_floating_point():
        pipeline = bridge.Pipeline(model, label_names=tuple("ab"[: model.speakers]))
        pieces = pipeline.reconstruct_stream(iter(batch.x[:1].split(90, 2)), 1 if model.speakers else None)
        found[f"{chain}streamed"] = torch.cat(list(pieces), 2)
    return found


def _bounds(model: vqvae.LatentModel, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(0)
    found = model.bound(batch)._asdict()
    if isinstance(model, vqvae.VAE | vqvae.VIMCO):
        torch.manual_seed(0)
        found["importance"] = model.importance_bound(batch, 3).nats
    return found


def _vae(model: vqvae.VAE, batch: Batch) -> dict[str, Tensor]:
    mean, log_scale = model.posterior(batch)
    space, chain = tuple(batch.x.shape[2:]), "chain " if batch.x.dtype == torch.int64 else ""
    latents = mean + (torch.arange(mean.numel()) % 9 - 4).view_as(mean) / 2
    drawn = model.decode(latents, batch.condition, torch.Generator().manual_seed(0), 1.0, space)
    found = {"mean": mean, "log_scale": log_scale, f"{chain}decoded": model.decode(latents, batch.condition, size=space)}
    return {**found, f"{chain}drawn": drawn, **_bounds(model, batch)}


def _prior(prior: bridge.Prior, batch: Batch) -> dict[str, Tensor]:
    label = batch.condition.label if prior.classes else None
    given = batch.condition._replace(label=label)
    found = {"log_prob": prior.log_prob(batch.x, given, batch.mask)}
    if isinstance(prior, vqvae.AutoregressivePrior):
        count, _, *space = batch.x.shape
        for name, choices in {
            "sample": {},
            "warm": {"temperature": 0.7, "top_p": 0.9, "seed": 1},
            "likeliest": {"temperature": 0.0},
        }.items():
            found[f"chain {name}"] = bridge.draw(prior, count, tuple(space), label, **choices)
        known = torch.where(torch.arange(space[-1]) < space[-1] // 2, batch.x, -1)
        found["chain continued"] = bridge.draw(prior, count, tuple(space), label, prefix=known)
    return found
