"""The errors that users see: every message says where, what came, what was expected and what to do.

VqvaeError
├── ConfigError       a setting that is wrong or does not fit the others (also a ValueError)
├── DataError         input that cannot be read or has the wrong shape, type or values (also a ValueError)
├── CheckpointError   a run folder or stored part that is incomplete, damaged or of another configuration
├── BitstreamError    a compressed file that cannot be decoded
├── HubError          a model on the Hugging Face Hub that cannot be read or written
└── MissingExtraError an optional dependency that is not installed (also an ImportError)
"""


class VqvaeError(Exception):
    """Base of every error that this package raises for its users; the command line prints it without a traceback."""


class ConfigError(VqvaeError, ValueError):
    """A setting that is wrong, unknown or contradicts another one."""


class DataError(VqvaeError, ValueError):
    """Input that cannot be read, or whose shape, type or values are not what the receiver takes."""


class CheckpointError(VqvaeError):
    """A run folder or stored part that is incomplete, damaged or belongs to another configuration."""


class BitstreamError(VqvaeError):
    """A compressed file that cannot be decoded."""


class HubError(VqvaeError):
    """A model on the Hugging Face Hub that cannot be read or written."""


class MissingExtraError(VqvaeError, ImportError):
    """An optional dependency that is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"This needs the package '{package}'. Install it with: pip install 'vqvae[{extra}]'")


def is_out_of_memory(error: Exception) -> bool:
    """Whether there was not enough memory. Torch has an error of its own only for accelerators."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
