"""A folder with the programs of a tokenizer, and a description of them as JSON.

OUT/
  export.json     signal, layout, speakers, and the inputs and outputs of each program
  encoder.onnx    raw data to codes (or encoder.pt2)
  decoder.onnx    codes to raw data (or decoder.pt2)
"""

import importlib.metadata
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vqvae import disk
from vqvae.config import shown
from vqvae.errors import ConfigError
from vqvae.export.onnx import check_onnx, write_onnx
from vqvae.export.programs import Port, Program, check_decoder, decoder_program, encoder_program
from vqvae.pipeline import Pipeline
from vqvae.storage.card import card_to_json

DESCRIPTION = "export.json"
FORMATS = ("onnx", "pt2")
FORMAT_VERSION = 1


def export(pipeline: Pipeline, out: Path | str, format: str = "onnx", *, encoder_only: bool = False, overwrite: bool = False) -> list[Path]:
    """Write the encoder with its quantizer, and the decoder, as programs that take raw data and any batch and size.

    Sizes are multiples of the stride: pad data by repeating its edge, as ``Pipeline.encode`` does. A program for PyTorch (pt2) takes at
    least two codes along each axis, or one after ``module(check_guards=False)``.

    Args:
        pipeline: the model, on the CPU.
        out: the folder.
        format: "onnx", or "pt2" for ``torch.export.load``.
        encoder_only: whether to omit the decoder.
        overwrite: whether to replace files.

    Returns:
        The files: the programs and the description.

    Raises:
        ConfigError: the format is unknown, files exist, or the tokenizer cannot be exported.
        MissingExtraError: the packages for ONNX are not installed.
    """
    if format not in FORMATS:
        raise ConfigError(f"The format is {shown(format)}; expected one of {', '.join(FORMATS)}.")
    folder, tokenizer = disk.user_path(out), pipeline.tokenizer
    if not encoder_only:
        check_decoder(tokenizer)
    if format == "onnx":
        check_onnx()
    makers: dict[str, Callable[..., Program]] = {"encoder": encoder_program}
    makers |= {} if encoder_only else {"decoder": decoder_program}
    paths = [*(folder / f"{name}.{format}" for name in makers), folder / DESCRIPTION]
    disk.check_outputs(paths, overwrite=overwrite)
    write = write_onnx if format == "onnx" else write_pt2
    described = {}
    for name, make in makers.items():
        program = make(tokenizer)
        path = folder / f"{name}.{format}"
        with disk.atomic(path) as partial:
            write(program, partial)
        described[name] = {"file": path.name, "inputs": _ports(program.inputs), "outputs": _ports(program.outputs)}
    with disk.atomic(folder / DESCRIPTION) as partial:
        partial.write_text(json.dumps(describe(pipeline, format, described), indent=2) + "\n", encoding="utf-8")
    return paths


def describe(pipeline: Pipeline, format: str, programs: dict[str, Any]) -> dict[str, Any]:
    """The contents of ``export.json``."""
    card = card_to_json(pipeline.card)
    return {
        "format_version": FORMAT_VERSION,
        "library": importlib.metadata.version("vqvae"),
        "format": format,
        "signal": {name: value for name, value in card["signal"].items() if name != "kind"},
        "layout": card["layout"],
        "size": card["size"],
        "speakers": list(pipeline.speakers),
        "programs": programs,
    }


def write_pt2(program: Program, path: Path) -> None:
    """Write a program that ``torch.export.load`` reads."""
    with warnings.catch_warnings(), path.open("wb") as file:
        warnings.simplefilter("ignore")
        torch.export.save(program.exported, file)


def _ports(ports: tuple[Port, ...]) -> list[dict[str, Any]]:
    return [{**port._asdict(), "shape": list(port.shape)} for port in ports]
