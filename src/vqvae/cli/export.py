"""``vqvae export RUN --out FOLDER``."""

from collections.abc import Sequence
from typing import Literal

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.values import Checkpoint, Folder, Run
from vqvae.config import settings
from vqvae.export import export


@settings
class Arguments:
    run: Run
    """The run folder."""
    out: Folder
    """Folder for the programs and their description."""
    format: Literal["onnx", "pt2"] = "onnx"
    """"onnx": ONNX files. "pt2": programs for torch.export.load."""
    encoder_only: bool = False
    """Write no decoder."""
    overwrite: bool = False
    """Replace existing files."""
    checkpoint: Checkpoint = None
    """Use a checkpoint of the tokenizer instead of the finished one: "best", or the number of a step."""


def main(arguments: Sequence[str]) -> int:
    """Write the encoder with its quantizer, and the decoder, as programs that run without vqvae."""
    about = "Write the encoder with its quantizer, and the decoder, as programs that run without vqvae."
    chosen = parse(Arguments, "export", arguments, about)
    model = pipeline.load(chosen.run, checkpoint=chosen.checkpoint)
    for path in export(model, chosen.out, chosen.format, encoder_only=chosen.encoder_only, overwrite=chosen.overwrite):
        print(path)
    note(f"Inputs and outputs are described in {chosen.out / 'export.json'}.")
    return 0
