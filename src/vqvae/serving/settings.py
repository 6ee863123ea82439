"""The settings of a server."""

from dataclasses import field

from vqvae.config import settings
from vqvae.errors import ConfigError

HERE = ("127.0.0.1", "::1", "localhost")
"""The addresses that only this machine reaches."""


@settings
class ServeOptions:
    """What a server allows."""

    deadline: float = 60.0
    """Seconds that a request may take, from its first byte to the last of its answer."""
    grace: float = 20.0
    """Seconds that requests in flight get to finish when the server stops."""
    waiting: int = 64
    """Requests that wait for a model at most. Later ones are refused with status 429."""
    together: int = field(default=32, metadata={"bounds": (1, 256)})
    """Requests that are worked on together at most."""
    gather: float = 0.005
    """Seconds that a busy model waits for more requests to work on together. An idle model does not wait."""
    most_bytes: int = 32 * 2**20
    """Bytes of a request at most."""
    most_pixels: int = 2**22
    """Pixels of a picture, of a clip in all, and positions of an array at most."""
    most_seconds: float = 60.0
    """Seconds of a recording at most."""
    most_samples: int = 16
    """Samples, and imagined clips, of one request at most."""
    most_frames: int = 64
    """Frames that one request may imagine at most."""
    worlds: int = field(default=8, metadata={"bounds": (0, 1024)})
    """Worlds that are played at the same time at most."""
    world_seconds: float = 600.0
    """Seconds after which a world that nobody plays is closed."""

    def __post_init__(self) -> None:
        for name in ("deadline", "grace", "most_seconds", "world_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name):g}; it must be more than 0 seconds.")
        if not 0 <= self.gather <= 1:
            raise ConfigError(f"gather is {self.gather:g}; it must lie between 0 and 1 second.")
        for name in ("waiting", "most_bytes", "most_pixels", "most_samples", "most_frames"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")
