"""Float64 on any device: for sums over a data set, and for draws that must not depend on rounding. MPS has no float64."""

import torch
from torch import Tensor

from vqvae.errors import ConfigError

WITHOUT_FLOAT64 = frozenset({"mps"})
"""Device types on which torch has no float64."""


def exact_device(device: torch.device) -> torch.device:
    """The device for float64 work on tensors of ``device``: that device, or the CPU."""
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device


def exact(tensor: Tensor) -> Tensor:
    """A tensor in float64, on its ``exact_device``."""
    # Move first: the other order would make float64 on a device without it.
    return tensor.to(exact_device(tensor.device)).double()


def exact_sum(tensor: Tensor) -> float:
    """The sum of all entries in float64. A sum over a data set needs more than the 7 digits of float32."""
    return float(exact(tensor).sum())


def is_traced() -> bool:
    """Whether torch is compiling, exporting or tracing. Code must then not depend on tensor values, so they are not checked."""
    return torch.compiler.is_compiling() or torch.compiler.is_exporting() or torch.jit.is_tracing()


def check_float64(device: torch.device, what: str) -> None:
    """Raise ConfigError if ``device`` has no float64, which ``what`` needs."""
    if device.type in WITHOUT_FLOAT64:
        raise ConfigError(f"{what} needs float64, which {device.type} does not have. Use the CPU or CUDA.")
