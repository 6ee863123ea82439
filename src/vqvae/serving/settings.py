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
    """The most requests that wait for a model. Later ones are refused with status 429."""
    together: int = field(default=32, metadata={"bounds": (1, 256)})
    """The most requests that are done in one batch."""
    gather: float = 0.005
    """Seconds that a busy model waits for more requests of the same batch. An idle model does not wait."""
    most_bytes: int = 32 * 2**20
    """The most bytes of a request."""
    most_pixels: int = 2**22
    """The most pixels of a picture or of all frames of a clip, and the most positions of an array."""
    most_seconds: float = 60.0
    """The most seconds of a recording."""
    most_samples: int = 16
    """The most samples, or imagined clips, of a request."""
    most_frames: int = 64
    """The most frames that a request may imagine."""
    worlds: int = field(default=8, metadata={"bounds": (0, 1024)})
    """The most worlds that are played at the same time."""
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
