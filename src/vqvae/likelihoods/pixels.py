"""What the likelihoods of images share: 256 levels a channel, as uint8."""

import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from vqvae.data.base import described
from vqvae.errors import ConfigError, DataError

LEVELS = 256


def check_pixels(x: Tensor, channels: int, levels: int = LEVELS) -> UInt8[Tensor, "batch channels *space"]:
    """Give back pixels that are fit to be counted.

    Raises:
        DataError: not uint8, another number of channels, or a value that is no level.
    """
    if x.dtype != torch.uint8:
        raise DataError(
            f"Pixels came as {described(x)}; expected torch.uint8 with levels from 0 to {levels - 1}, (batch, {channels}, *space). "
            "Give the data raw, not scaled."
        )
    if x.ndim < 2 or x.shape[1] != channels:
        raise DataError(f"Pixels came in the shape {tuple(x.shape)}; expected (batch, {channels}, *space).")
    if levels < LEVELS and x.numel() and int(x.max()) >= levels:
        raise DataError(f"Pixels came with the level {int(x.max())}; expected 0 to {levels - 1}.")
    return x


def check_parameters(parameters: Tensor, num_parameters: int) -> Float[Tensor, "batch parameters *space"]:
    """Give back a decoder's output in float32 (float64 stays).

    Raises:
        DataError: not floating, or another number of channels.
    """
    _check_floats(parameters, num_parameters)
    return parameters.to(torch.promote_types(parameters.dtype, torch.float32))


def check_pair(parameters: Tensor, x: Tensor, num_parameters: int, channels: int) -> tuple[Tensor, Tensor]:
    """Both checks, and that batch and space agree.

    Raises:
        DataError: either does not fit, or they do not fit each other.
    """
    check_shapes(parameters, x, num_parameters, channels)
    return check_parameters(parameters, num_parameters), x


def check_shapes(parameters: Tensor, x: Tensor, num_parameters: int, channels: int) -> None:
    """What ``check_pair`` checks, without a float32 copy.

    Raises:
        DataError: either does not fit, or they do not fit each other.
    """
    _check_floats(parameters, num_parameters)
    check_pixels(x, channels)
    if parameters.shape[0] != x.shape[0] or parameters.shape[2:] != x.shape[2:]:
        raise DataError(
            f"Parameters of the shape {tuple(parameters.shape)} came for pixels of the shape {tuple(x.shape)}; "
            f"expected ({x.shape[0]}, {num_parameters}, {', '.join(map(str, x.shape[2:]))})."
        )


def refuse_mask(mask: Tensor | None) -> None:
    """Raise DataError where there is a mask."""
    if mask is not None:
        raise DataError("A mask came, but this likelihood counts whole examples. Give it examples of one size, without a mask.")


def check_temperature(temperature: float) -> float:
    """Give back a temperature from 0 (the mode) up.

    Raises:
        ConfigError: it is negative or NaN.
    """
    if not temperature >= 0:
        raise ConfigError(f"temperature is {temperature}; it must be 0 (the mode) or more, 1 for the likelihood itself.")
    return temperature


def to_pixels(levels: Shaped[Tensor, "*any"]) -> UInt8[Tensor, "*any"]:
    """Round to the nearest level; what lies beyond the first or last one becomes it."""
    return levels.round().clamp(0, LEVELS - 1).to(torch.uint8)


def to_bins(x: Tensor, channels: int, levels: int = LEVELS) -> Int64[Tensor, "batch channels *space"]:
    """Pixels as int64 bins: the levels themselves."""
    return check_pixels(x, channels, levels).long()


def to_raw(bins: Int64[Tensor, "*any"]) -> UInt8[Tensor, "*any"]:
    """Bins as pixels."""
    return bins.to(torch.uint8)


def _check_floats(parameters: Tensor, num_parameters: int) -> None:
    if not parameters.is_floating_point() or parameters.ndim < 2 or parameters.shape[1] != num_parameters:
        raise DataError(
            f"Parameters came as {parameters.dtype} in the shape {tuple(parameters.shape)}; "
            f"expected floats of the shape (batch, {num_parameters}, *space)."
        )
