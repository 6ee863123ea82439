"""What a model makes of a file: codes, the reconstruction, where it differs, and what the codes cost."""

import math
from collections.abc import Callable, Collection, Generator, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vqvae.bits import bits
from vqvae.codes import Codes
from vqvae.data.base import Batch, Condition
from vqvae.errors import VqvaeError
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.evaluation.kinds import PICTURES, SOUND, kind_of
from vqvae.exact import exact
from vqvae.media.lossy import lossy_picture
from vqvae.pipeline import Pipeline
from vqvae.reports.colours import heat
from vqvae.serving.phones import CodePhones
from vqvae.serving.wire import codes_to_json, file_of, png_of
from vqvae.signals import pictures

PARTS = ("codes", "original", "reconstruction", "difference", "bits_per_code", "bits", "psnr", "phones")
"""What ``reconstruct`` answers."""
BLOCK = 2**14
"""Samples of a recording between which a client may leave."""
_JPEG = (1, 95, 75)
"""The lowest and the highest quality that is tried, and the one if there is nothing to compare with."""


def made_in_steps(model: Pipeline, example: Tensor, voice: str | int | None) -> Iterator[Tensor | None]:
    """Encode and decode an example. Yields None between steps, and the reconstruction at the end."""
    if kind_of(model.signal) is not SOUND or not model.tokenizer.streams:
        yield model.reconstruct(example, voice)
        return
    parts: list[Tensor] = []
    for piece in model.reconstruct_stream(example.split(BLOCK, -1), voice):
        parts.append(piece)
        yield None
    yield torch.cat(parts, -1)


def _made(model: Pipeline, example: Tensor, voice: str | int | None) -> Generator[None, None, Tensor]:
    """The reconstruction, after as many steps as it takes."""
    made: Tensor | None = None
    for step in made_in_steps(model, example, voice):
        if step is None:
            yield None
        else:
            made = step
    assert made is not None, "the last step gives it"
    return made


def reconstructed(
    model: Pipeline,
    example: Tensor,
    voice: str | int | None,
    parts: Collection[str],
    given: Condition = Condition(),
    phones: Callable[[], CodePhones | None] = lambda: None,
) -> Iterator[dict[str, Any] | None]:
    """The answer of ``reconstruct`` without its codes' picture, with bits under the priors given a class; None between steps."""
    signal, kind = model.signal, kind_of(model.signal)
    codes = model.encode_batch(Batch(example))
    found: dict[str, Any] = {"size": list(example.shape[2:]), "code_rate": _code_rate(model)}
    if "codes" in parts:
        found["codes"] = codes_to_json(codes)
    if "original" in parts:
        found["original"] = file_of(example, signal).url
    if set(parts) & {"reconstruction", "difference", "psnr", "bits"}:
        made = yield from _made(model, example, voice)
        found[kind.measure] = _near(model, made, example)
        if "reconstruction" in parts:
            found["reconstruction"] = file_of(made, signal).url
        if "difference" in parts and kind is PICTURES:
            found["difference"] = _difference(example, made)
        if "bits" in parts:
            found["bits"] = _bits(model, example, codes, made, given)
    yield None
    if "bits_per_code" in parts and kind is PICTURES:
        found["bits_per_code"] = _costs(model, codes, given)
    if "phones" in parts and kind is SOUND:
        named = phones()
        found["phones"] = None if named is None else named.of(codes)
        found["phones_right"] = None if named is None else named.right
    yield found


def scored(model: Pipeline, example: Tensor, voice: str | int | None) -> Iterator[dict[str, Any] | None]:
    """Scores of one example; None between steps."""
    codes = model.encode_batch(Batch(example))
    made = yield from _made(model, example, voice)
    kind = kind_of(model.signal)
    found: dict[str, Any] = {kind.measure: _near(model, made, example)}
    try:
        found["bits_per_dim"] = float(model.bits_per_dim(example)[0])
    except VqvaeError:  # Trained on a distance, or the prior does not know this size.
        found["bits_per_dim"] = None
    cost, count = _cost(model, codes), sum(level.numel() for level in codes)
    found["bits_per_code"] = None if cost is None else cost / count
    found["bits_per_code_uniform"] = _uniform(model, codes) / count
    yield found


def _near(model: Pipeline, made: Tensor, example: Tensor) -> float | None:
    """How near a reconstruction is. None where the measure needs another sample rate."""
    try:
        return kind_of(model.signal).near(made, example, model.signal)
    except VqvaeError:
        return None


def _code_rate(model: Pipeline) -> float | None:
    rate = model.signal.sample_rate
    return None if rate is None else rate / model.layout[-1].stride[0]


def _costs(model: Pipeline, codes: Codes, given: Condition) -> dict[str, Any] | None:
    """The bits of each code under the priors. None without priors, and where they need a class or another size."""
    if not model.priors or (model.is_conditional and given.label is None):
        return None
    levels, codes, given = [], codes.to(model.device), given.to(model.device)
    try:
        for number, (prior, level) in enumerate(zip(model.priors, codes, strict=True)):
            costs = bits(-prior.code_log_probs(level, given._replace(codes=tuple(codes[:number])))[0].cpu())
            levels.append({"shape": list(costs.shape), "data": [round(cost, 4) for cost in costs.flatten().tolist()]})
    except VqvaeError:
        return None
    return {"levels": levels}


def _cost(model: Pipeline, codes: Codes, given: Condition = Condition()) -> float | None:
    """The bits of all codes under the priors."""
    if not model.priors:
        return None
    try:
        return float(bits(-model.log_prior(codes.to(model.device), given.to(model.device))[0]))
    except VqvaeError:
        return None


def _uniform(model: Pipeline, codes: Codes) -> float:
    """The bits of all codes without a prior."""
    return sum(level.numel() * math.log2(of.codebook_size) for level, of in zip(codes, model.layout, strict=True))


def _bits(model: Pipeline, example: Tensor, codes: Codes, made: Tensor, given: Condition) -> dict[str, float]:
    """The size of the example in bits: as codes, and in other formats."""
    levels = model.signal.levels
    found = {"codes_prior": _cost(model, codes, given), "codes_uniform": _uniform(model, codes)}
    if levels is not None:
        found["raw"] = example.numel() * math.log2(levels)
    if kind_of(model.signal) is PICTURES and levels == 256:
        pixels = example[0].numpy()
        found |= {"png": 8.0 * len(png_of(pixels, small=True)), "jpeg": 8.0 * _jpeg(pixels, float(psnr(made, example, 255).mean()))}
    return {name: value for name, value in found.items() if value is not None}


def _jpeg(pixels: np.ndarray, quality: float) -> int:
    """The bytes as JPEG: of the lowest quality setting whose PSNR is at least this, or the highest one's."""
    low, high, usual = _JPEG
    if not math.isfinite(quality):
        return lossy_picture(pixels, "JPEG", usual).bytes
    original = torch.from_numpy(pixels)[None]
    while low < high:
        middle = (low + high) // 2
        decoded = torch.from_numpy(lossy_picture(pixels, "JPEG", middle).pixels)[None]
        low, high = (low, middle) if float(psnr(decoded, original, 255).mean()) >= quality else (middle + 1, high)
    return lossy_picture(pixels, "JPEG", low).bytes


def _difference(example: Tensor, made: Tensor) -> str:
    """The mean error of each pixel in colours, as a data URL: black is 0."""
    error = (exact(example) - exact(made)).abs().mean(1)[0].numpy()
    coloured = torch.from_numpy(heat(error / max(float(error.max()), 1e-9)).transpose(2, 0, 1).copy())[None]
    return file_of(coloured, pictures()).url
