"""The range of float data that a model reads."""

import math
from pathlib import Path

from vqvae.errors import ConfigError, VqvaeError
from vqvae.evaluation.kinds import SOUND, Bounds, Kind
from vqvae.runs.folder import stored_config


def bounds_of(run: Path, given: Bounds, kind: Kind) -> Bounds:
    """The range of float data: what was given, or what the run was trained with. None if neither says.

    Raises:
        ConfigError: if the range is empty, or the model is one of sound.
    """
    if given is not None:
        if kind is SOUND:
            raise ConfigError("--bounds is the range of pictures and arrays. Sound lies between -1 and 1; omit the flag.")
        check_range(given)
        return given
    try:
        return getattr(stored_config(run).data, "bounds", None)
    except VqvaeError:  # A program trained it.
        return None


def check_range(given: tuple[float, float]) -> None:
    """Raise ConfigError unless a range is a low value and a higher one."""
    if not 0 < given[1] - given[0] < math.inf:
        raise ConfigError(f"--bounds is {given[0]:g} {given[1]:g}; expected a low value and a higher one.")
