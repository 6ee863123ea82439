"""A fixed context in which every module is built, whatever the calling program has set.

Only the building thread is affected: torch's own settings are global, so changing them would disturb other threads.
"""

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from vqvae.errors import ConfigError

_FILLED = frozenset({torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.eye})
"""Functions that make a tensor of a given size."""
_MADE = _FILLED | {torch.tensor, torch.as_tensor, torch.scalar_tensor, torch.arange, torch.linspace, torch.logspace}
_WINDOWS = frozenset({torch.hann_window, torch.hamming_window, torch.blackman_window, torch.bartlett_window, torch.kaiser_window})
_active = threading.local()


@contextmanager
def building(what: str) -> Iterator[None]:
    """Build modules in float32, whatever torch's default type is. A tensor larger than memory is an error.

    Args:
        what: names the configuration in the error.

    Raises:
        ConfigError: if a tensor would not fit into memory.
    """
    if getattr(_active, "on", False):
        yield
        return
    _active.on = True
    try:
        with _Float32(what):
            yield
    finally:
        _active.on = False


@contextmanager
def private_draws() -> Iterator[None]:
    """Draw from a separate generator: torch's generators stay unchanged, in this thread and all others."""
    with _PrivateDraws():
        yield


def check_sizes(part: Any, what: str) -> None:
    """Check that no layer of torch's in a module is empty: torch builds such a layer, and fails when it is called.

    Raises:
        ConfigError: a size is 0.
    """
    for name, layer in part.named_modules() if isinstance(part, nn.Module) else ():
        if not type(layer).__module__.startswith("torch.nn"):
            continue  # Stacked weights of our own may be empty: those between the layers, where there is one layer.
        for parameter in layer.parameters(recurse=False):
            if parameter.numel() == 0:
                raise ConfigError(f"{what} gives {name} weights of shape {tuple(parameter.shape)}. Every size must be at least 1.")


class _Float32(TorchFunctionMode):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _FILLED and torch.get_default_device().type != "meta":
            self._check_size(args, kwargs)
        if kwargs.get("dtype") is not None or torch.get_default_dtype() == torch.float32 or func not in _MADE | _WINDOWS:
            return func(*args, **kwargs)
        if func in _WINDOWS or func in {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.eye}:
            return func(*args, **{**kwargs, "dtype": torch.float32})
        made = func(*args, **kwargs)
        if not made.is_floating_point() or (args and isinstance(args[0], Tensor)):
            return made
        # Made again: rounding to a shorter default type lost digits.
        return func(*args, **{**kwargs, "dtype": torch.float32})

    def _check_size(self, args: Any, kwargs: Any) -> None:
        """Raise ConfigError if a tensor of the stated size cannot fit into memory."""
        size = args if args and isinstance(args[0], int) else args[0] if args else kwargs.get("size", ())
        if str(kwargs.get("device") or "").startswith("meta") or not all(isinstance(length, int) for length in size):
            return
        needed, there = 4 * math.prod(size), memory()
        if needed > there:
            raise ConfigError(
                f"{self.what} asks for a tensor of {tuple(size)} numbers, {needed / 2**30:,.0f} GiB. This machine has "
                f"{there / 2**30:,.0f} GiB of memory. Choose smaller sizes."
            )


class _PrivateDraws(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.generators: dict[str, torch.Generator] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if "generator" not in (argument.name for argument in func._schema.arguments):
            func = getattr(func.overloadpacket, {"default": "generator", "low": "low_generator"}[func._overloadname])
        if kwargs.get("generator") is None:
            kwargs["generator"] = self._generator(args[0].device if args and isinstance(args[0], Tensor) else kwargs.get("device"))
        return func(*args, **kwargs)

    def _generator(self, device: torch.device | None) -> torch.Generator:
        name = str(device or "cpu")
        if name not in self.generators:
            self.generators[name] = torch.Generator(name).manual_seed(0)
        return self.generators[name]


def memory() -> float:
    """This machine's memory in bytes; infinity if unknown."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf
