"""Where rendered and downloaded data is kept."""

import os
from pathlib import Path

from vqvae import disk
from vqvae.errors import DataError

ADVICE = "Set XDG_CACHE_HOME to a folder that can be written."
"""What to do where the user's cache cannot be written."""


def user_cache() -> Path:
    """The folder for what can be made again: ``$XDG_CACHE_HOME/vqvae``, or ``~/.cache/vqvae``.

    Raises:
        DataError: neither is known.
    """
    place = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(place or Path.home() / ".cache") / "vqvae"
    except RuntimeError as error:
        raise DataError(f"There is no home folder to keep data in ({error}). {ADVICE}") from error


def user_path(text: str | Path) -> Path:
    """A path that a user gives for data; see ``vqvae.disk.user_path``.

    Raises:
        DataError: it cannot be a path.
    """
    return disk.user_path(text, DataError)
