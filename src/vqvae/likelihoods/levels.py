"""Shared by criteria: checks of data, parameters, masks and temperatures; and levels from 0 up, as uint8 or wider integers."""

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from vqvae.errors import ConfigError, DataError
from vqvae.signals import Signal

LEVELS = 256


def check_levels(x: Tensor, channels: int, levels: int = LEVELS) -> Shaped[Tensor, "batch channels *space"]:
    """Return levels, with any number of axes, if they are valid.

    Raises:
        DataError: if the type or the number of channels is wrong, or a value is not a level.
    """
    axes = tuple(f"axis {number}" for number in range(x.ndim - 2)) if isinstance(x, Tensor) else ("*space",)
    return Signal(axes=axes, channels=channels, levels=levels).check(x)


def check_parameters(parameters: Tensor, num_parameters: int) -> Float[Tensor, "batch parameters *space"]:
    """Return a decoder's output in float32 (float64 stays).

    Raises:
        DataError: if it is not floating point, or has another number of channels.
    """
    _check_floats(parameters, num_parameters)
    return parameters.to(torch.promote_types(parameters.dtype, torch.float32))


def check_pair(parameters: Tensor, x: Tensor, num_parameters: int, channels: int, levels: int) -> tuple[Tensor, Tensor]:
    """Do both checks, and check that batch and space agree.

    Raises:
        DataError: if either is invalid, or they do not match.
    """
    check_shapes(parameters, x, num_parameters, channels, levels)
    return check_parameters(parameters, num_parameters), x


def check_shapes(parameters: Tensor, x: Tensor, num_parameters: int, channels: int, levels: int) -> None:
    """The checks of ``check_pair``, without a float32 copy.

    Raises:
        DataError: if either is invalid, or they do not match.
    """
    _check_floats(parameters, num_parameters)
    check_levels(x, channels, levels)
    check_agreement(parameters, x)


def check_agreement(parameters: Tensor, x: Tensor, mask: Tensor | None = None) -> None:
    """Raise DataError unless parameters, data and mask have the same examples and positions."""
    if parameters.shape[0] != x.shape[0] or parameters.shape[2:] != x.shape[2:]:
        expected = (x.shape[0], parameters.shape[1], *x.shape[2:])
        raise DataError(f"Parameters have the shape {tuple(parameters.shape)}, data the shape {tuple(x.shape)}; expected {expected}.")
    check_mask(mask, x)


def check_mask(mask: Tensor | None, x: Tensor) -> None:
    """Raise DataError unless a mask has one bool per position of the data."""
    expected = (x.shape[0], *x.shape[2:])
    if mask is not None and (mask.dtype != torch.bool or tuple(mask.shape) != expected):
        raise DataError(
            f"The mask is {mask.dtype} of the shape {tuple(mask.shape)}; expected torch.bool {expected}, True where there is data."
        )


def sum_where(each: Float[Tensor, "batch channels *space"], mask: Bool[Tensor, "batch *space"] | None) -> Float[Tensor, " batch"]:
    """The sum over channels and unmasked positions."""
    return (each if mask is None else each.masked_fill(~mask.unsqueeze(1), 0)).flatten(1).sum(1)


def refuse_mask(mask: Tensor | None) -> None:
    """Raise DataError if there is a mask."""
    if mask is not None:
        raise DataError("This likelihood does not accept a mask. Give it examples of one size, without a mask.")


def check_temperature(temperature: float) -> float:
    """Return a temperature if it is at least 0 (the mode).

    Raises:
        ConfigError: if it is negative or NaN.
    """
    if not temperature >= 0:
        raise ConfigError(f"temperature is {temperature}; it must be 0 (the mode) or more, 1 for the likelihood itself.")
    return temperature


def to_levels(unit: Float[Tensor, "*any"], levels: int) -> Shaped[Tensor, "*any"]:
    """From -1 to 1 to the nearest level. Values beyond the first or last level become that level."""
    return Signal(axes=(), channels=1, levels=levels).from_unit(unit)


def to_bins(x: Tensor, channels: int, levels: int = LEVELS) -> Int64[Tensor, "batch channels *space"]:
    """Levels as int64 bins: the levels themselves."""
    return check_levels(x, channels, levels).long()


def to_raw(bins: Int64[Tensor, "*any"], levels: int = LEVELS) -> Shaped[Tensor, "*any"]:
    """Bins as levels of the data's type."""
    return bins.to(Signal(axes=(), channels=1, levels=levels).dtype)


def _check_floats(parameters: Tensor, num_parameters: int) -> None:
    if not parameters.is_floating_point() or parameters.ndim < 2 or parameters.shape[1] != num_parameters:
        raise DataError(
            f"Parameters are {parameters.dtype} of the shape {tuple(parameters.shape)}; "
            f"expected floats of the shape (batch, {num_parameters}, *space)."
        )
