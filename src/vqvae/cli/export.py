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
    """Where the programs and their description go."""
    format: Literal["onnx", "pt2"] = "onnx"
    """"onnx", or "pt2" for torch.export.load."""
    encoder_only: bool = False
    """Write no decoder."""
    overwrite: bool = False
    """Replace existing files."""
    checkpoint: Checkpoint = None
    """A checkpoint of the tokenizer in place of the finished one: "best", or a step."""


def main(arguments: Sequence[str]) -> int:
    """Write the encoder with its quantizer, and the decoder, as programs that run without vqvae."""
    chosen = parse(Arguments, "export", arguments, "Write the encoder with its quantizer, and the decoder, as programs.")
    model = pipeline.load(chosen.run, checkpoint=chosen.checkpoint)
    for path in export(model, chosen.out, chosen.format, encoder_only=chosen.encoder_only, overwrite=chosen.overwrite):
        print(path)
    note(f"Inputs and outputs are described in {chosen.out / 'export.json'}.")
    return 0
