"""Where rendered and downloaded data is kept."""

import os
from pathlib import Path


def user_cache() -> Path:
    """The folder for what can be made again: ``$XDG_CACHE_HOME/vqvae``, or ``~/.cache/vqvae``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vqvae"
