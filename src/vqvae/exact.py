"""Float64 wherever a tensor is: sums over a data set, and draws that must not depend on rounding. MPS has no float64."""

import torch
from torch import Tensor

from vqvae.errors import ConfigError

WITHOUT_FLOAT64 = frozenset({"mps"})
"""Kinds of devices on which torch can make no float64 tensor."""


def exact_device(device: torch.device) -> torch.device:
    """Where float64 is worked with for what is on ``device``: there, or on the CPU."""
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device


def exact(tensor: Tensor) -> Tensor:
    """A tensor in float64, on its ``exact_device``."""
    # Moved first: the other order would make float64 where there is none.
    return tensor.to(exact_device(tensor.device)).double()


def exact_sum(tensor: Tensor) -> float:
    """The sum of all entries, added up in float64: float32 has 7 digits, and a data set more."""
    return float(exact(tensor).sum())


def is_traced() -> bool:
    """Whether torch is compiling, exporting or tracing: code may then not depend on the values of tensors, so they are not checked."""
    return torch.compiler.is_compiling() or torch.compiler.is_exporting() or torch.jit.is_tracing()


def check_float64(device: torch.device, what: str) -> None:
    """Raise ConfigError where ``what`` is asked for on a device without float64."""
    if device.type in WITHOUT_FLOAT64:
        raise ConfigError(f"{what} takes float64, which {device.type} does not have. Take the CPU or CUDA for it.")
