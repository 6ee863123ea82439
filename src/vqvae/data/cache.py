"""The cache of rendered and downloaded data."""

import os
from pathlib import Path

from vqvae import disk
from vqvae.errors import DataError

ADVICE = "Set XDG_CACHE_HOME to a writable folder."
"""Advice if the user's cache cannot be written."""


def user_cache() -> Path:
    """The cache folder: ``$XDG_CACHE_HOME/vqvae``, or ``~/.cache/vqvae``. Everything in it can be made again.

    Raises:
        DataError: if neither folder is known.
    """
    place = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(place or Path.home() / ".cache") / "vqvae"
    except RuntimeError as error:
        raise DataError(f"There is no home folder for the cache ({error}). {ADVICE}") from error


def user_path(text: str | Path) -> Path:
    """A path that a user gives for data; see ``vqvae.disk.user_path``.

    Raises:
        DataError: it cannot be a path.
    """
    return disk.user_path(text, DataError)
