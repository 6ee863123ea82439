"""The range of float data that a model reads."""

import math
from pathlib import Path

from vqvae.errors import ConfigError, VqvaeError
from vqvae.evaluation.kinds import SOUND, Bounds, Kind
from vqvae.runs.folder import stored_config


def bounds_of(run: Path, given: Bounds, kind: Kind) -> Bounds:
    """The range of float data: the given one, or that of the training. None if neither is known.

    Raises:
        ConfigError: if the range is empty, or it is a model of sound.
    """
    if given is not None:
        if kind is SOUND:
            raise ConfigError("--bounds is the range of pictures and arrays. Sound lies between -1 and 1; omit the flag.")
        check_range(given)
        return given
    try:
        return getattr(stored_config(run).data, "bounds", None)
    except VqvaeError:  # A Python program trained the run, and the run stores no settings of the data.
        return None


def check_range(given: tuple[float, float]) -> None:
    """Raise ConfigError unless a range is a low value and a higher one."""
    if not 0 < given[1] - given[0] < math.inf:
        raise ConfigError(f"--bounds is {given[0]:g} {given[1]:g}; give a low value and then a higher one.")
