"""Programs of ``torch.export`` as ONNX files. The only importer of onnxscript."""

import logging
import warnings
from pathlib import Path

import torch

from vqvae.errors import ConfigError, MissingExtraError
from vqvae.export.programs import Program


def check_onnx() -> None:
    """Raise MissingExtraError unless the packages are installed that torch converts with."""
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("onnxscript", "onnx") from error


def write_onnx(program: Program, path: Path) -> None:
    """Write a program as one ONNX file.

    Raises:
        ConfigError: an operation of the program has no counterpart in ONNX.
        MissingExtraError: onnx or onnxscript is not installed.
    """
    check_onnx()
    log = logging.getLogger("torch.onnx")
    before = log.level
    # It lists operations of packages that are not installed.
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = torch.onnx.export(
                program.exported,
                input_names=[port.name for port in program.inputs],
                output_names=[port.name for port in program.outputs],
                dynamo=True,
                verbose=False,
            )
            assert converted is not None, "with dynamo=True there is a program"
            converted.save(path, external_data=False)
    except torch.onnx.errors.OnnxExporterError as error:
        raise ConfigError(f"{path.stem} has an operation that ONNX lacks. Export it for PyTorch: --format pt2.") from error
    finally:
        log.setLevel(before)
