"""The encoder with its quantizer, and the decoder, as programs of ``torch.export`` whose batch and sizes are dynamic."""

import warnings
from typing import Any, NamedTuple

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from vqvae.codes import Level, only_level, size_of
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError
from vqvae.models import Tokenizer

BLOCKS = (6, 7, 5)
"""Codes along each axis of the example that is traced. They differ, so that no two axes are taken for one."""


class Port(NamedTuple):
    """An input or an output of a program."""

    name: str
    dtype: str
    """The name of its type in NumPy."""
    shape: tuple[int | str, ...]
    """Numbers, and words for what is dynamic. An axis of data is an expression in the number of its codes, such as ``4 * height``."""


class Program(NamedTuple):
    """A program with the descriptions of its inputs and outputs."""

    exported: ExportedProgram
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class Encode(nn.Module):
    """Raw data to codes. Sizes are whole blocks of the stride."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, data: Tensor) -> Tensor:
        """Raw data (batch, channels, *axes) to codes (batch, codebooks, *space)."""
        return self.tokenizer.encode(Batch(data)).tensor


class Decode(nn.Module):
    """Codes to raw data."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, codes: Tensor, speaker: Int64[Tensor, " batch"] | None = None) -> Tensor:
        """Codes (batch, codebooks, *space) and the numbers of the speakers to raw data (batch, channels, *axes)."""
        return self.tokenizer.decode(codes, Condition(label=speaker))


def encoder_program(tokenizer: Tokenizer) -> Program:
    """The encoder and the quantizer.

    Raises:
        ConfigError: the tokenizer has several levels of codes, or torch.export cannot follow it.
    """
    level, data, _ = _example(tokenizer)
    axes = _axes(tokenizer)
    steps: list[Any] = [_dim(step, name, before) for step, name, before in zip(level.stride, axes, _lead(level), strict=True)]
    exported = _export(Encode(tokenizer), (data,), {"data": {0: Dim("batch"), **{2 + axis: step for axis, step in enumerate(steps)}}})
    return Program(exported, (_data_port(tokenizer, level, axes),), (_codes_port(level, axes),))


def decoder_program(tokenizer: Tokenizer) -> Program:
    """The decoder, from codes to the criterion's mode.

    Raises:
        ConfigError: the decoder draws value by value, the tokenizer has several levels of codes, or torch.export cannot follow it.
    """
    check_decoder(tokenizer)
    level, _, codes = _example(tokenizer)
    axes = _axes(tokenizer)
    inputs, batch = [_codes_port(level, axes)], Dim("batch")
    example: tuple[Tensor, ...] = (codes,)
    shapes: dict[str, Any] = {"codes": {0: batch, **{2 + axis: Dim(name) for axis, name in enumerate(axes)}}}
    if tokenizer.speakers:
        inputs.append(Port("speaker", "int64", ("batch",)))
        example, shapes["speaker"] = (codes, torch.zeros(len(codes), dtype=torch.int64)), {0: batch}
    return Program(_export(Decode(tokenizer), example, shapes), tuple(inputs), (_data_port(tokenizer, level, axes),))


def check_decoder(tokenizer: Tokenizer) -> None:
    """Raise ConfigError if the decoder draws value by value, which is a loop and not one program."""
    if tokenizer.draws:
        name = type(getattr(tokenizer, "decoder", tokenizer)).__name__
        raise ConfigError(
            f"{name} draws data value by value, so it cannot be exported. The encoder can: vqvae export RUN --encoder-only, or "
            "encoder_only=True. Decode with vqvae."
        )


def _example(tokenizer: Tokenizer) -> tuple[Level, Tensor, Tensor]:
    """The level of codes, and an example of data and of codes. Two of each, because torch.export would take 1 for a constant."""
    level, signal = only_level(tokenizer.layout), tokenizer.signal
    space = BLOCKS[: len(level.stride)]
    size = size_of(space, level.stride, level.lead)
    data = torch.zeros(2, signal.channels, *size, dtype=signal.dtype)
    return level, data, torch.zeros(2, level.num_codebooks, *space, dtype=torch.int64)


def _export(module: nn.Module, example: tuple[Tensor, ...], shapes: dict[str, Any]) -> ExportedProgram:
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # torch warns of its own future, such as of deprecated types.
            warnings.simplefilter("ignore")
            return torch.export.export(module.eval(), example, dynamic_shapes=shapes)
    except Exception as error:  # torch.export raises whatever the traced code raises, and errors of many kinds of its own.
        what = "encoder" if isinstance(module, Encode) else "decoder"
        raise ConfigError(
            f"The {what} of this {type(module.tokenizer).__name__} cannot be exported: torch.export cannot trace it for any size. Parts of "
            "your own must not depend on values of tensors or use len() of them."
        ) from error


def _dim(step: int, name: str, lead: int) -> Any:
    """The length of an axis of data in numbers of codes."""
    length = Dim(name) if step == 1 else step * Dim(name)
    return length - lead if lead else length


def _axes(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Names of the axes that are valid in expressions."""
    return tuple(name if name.isidentifier() and name != "batch" else f"axis{axis}" for axis, name in enumerate(tokenizer.signal.axes))


def _lead(level: Level) -> tuple[int, ...]:
    return level.lead or (0,) * len(level.stride)


def _data_port(tokenizer: Tokenizer, level: Level, axes: tuple[str, ...]) -> Port:
    sizes = [
        f"{step} * {name}" + (f" - {before}" if before else "") for step, name, before in zip(level.stride, axes, _lead(level), strict=True)
    ]
    dtype = str(tokenizer.signal.dtype).removeprefix("torch.")
    return Port("data", dtype, ("batch", tokenizer.signal.channels, *sizes))


def _codes_port(level: Level, axes: tuple[str, ...]) -> Port:
    return Port("codes", "int64", ("batch", level.num_codebooks, *axes))
