"""Number format and memory layout for this machine. ``vqvae.devices`` picks the device."""

import ctypes
import os
import shutil
import sys
from typing import Literal

import torch
from torch import nn

from vqvae.devices import pick_device as pick_device
from vqvae.errors import ConfigError

Precision = Literal["auto", "float32", "bfloat16"]
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of mallopt, from glibc's malloc.h."""


def pick_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype of matrix products and convolutions. "auto" is bfloat16 on hardware that gains from it, otherwise float32.

    A CPU gains from it if it has AMX or AVX512-BF16. Weights, optimizer, codebooks, losses and likelihoods are always float32.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    if device.type == "cuda":
        gains = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        gains = device.type == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return torch.bfloat16 if gains else torch.float32


def lay_out(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Move image filters to channels_last if the module runs in bfloat16, for faster convolutions."""
    if dtype == torch.bfloat16:
        # Module.to(memory_format=...) refuses modules that have filters of clips, too.
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.ndim == 4:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return module


def check_compiler() -> None:
    """Check that torch.compile has a compiler.

    Raises:
        ConfigError: if there is no C++ compiler.
    """
    if not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
        raise ConfigError("compile is on, but there is no C++ compiler. Install one (Debian: apt-get install g++), or turn compile off.")


def keep_freed_memory() -> bool:
    """Make this process keep freed memory, if its allocator allows it (glibc). Returns whether it does.

    By default, the memory of large tensors returns to the system. Each step maps and clears it again, page by page. With the network of E1
    this takes a quarter of a step (decision 10). With this setting, the process keeps its peak size.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    # The threshold is a 32-bit int, at most 2 GiB. Only the very top of the heap is ever returned.
    return mallopt is not None and bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
