"""Which device a name stands for."""

import os

import torch

from vqvae.errors import ConfigError


def pick_device(name: str | torch.device) -> torch.device:
    """The device called ``name``. "auto" picks CUDA if there is one, else the CPU. Under torchrun each process gets its own GPU.

    CPU and CUDA are tested. MPS (Apple's GPUs) must be named and is untested. It has no float64, so sums and draws in float64 run on
    the CPU: results are the same, but sampling is slow. What cannot run on the CPU, such as ``sum_over_codes``, is a ConfigError.
    For operations that torch lacks on MPS, torch raises its own error.

    Raises:
        ConfigError: there is no such device here.
    """
    if isinstance(name, str) and name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.empty(0, device=device).cpu()
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device is {str(name)!r}, which cannot be used here ({reason}). Take 'cpu', or 'auto' for the best.") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
