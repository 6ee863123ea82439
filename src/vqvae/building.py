"""A fixed context in which every module is built, whatever the calling program has set.

Only the building thread is affected: torch's own settings are global, so changing them would disturb other threads.
"""

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from vqvae.errors import ConfigError

T = TypeVar("T")
_FILLED = frozenset({torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.full, torch.eye})
"""Functions that make a tensor of a given size."""
_MADE = _FILLED | {torch.tensor, torch.as_tensor, torch.scalar_tensor, torch.arange, torch.linspace, torch.logspace}
_WINDOWS = frozenset({torch.hann_window, torch.hamming_window, torch.blackman_window, torch.bartlett_window, torch.kaiser_window})
_IN_PLACE = frozenset({Tensor.normal_, nn.init.normal_, Tensor.div_, Tensor.mul_})
"""Functions that change values and no shape."""
LARGE = 2**26
"""Numbers in a module that is built without a rehearsal on the meta device, which costs a second for imports."""
_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_active = threading.local()
MOST_TENSORS = 2**14
"""Tensors made while a module is built: many times more than the deepest network needs."""


def build_module(build: Callable[[], T], what: str) -> T:
    """Build a module under ``building``. A large one is built on the meta device first, which takes no memory: if it does not fit into
    the machine's memory, none is taken.

    Args:
        build: makes the module. It may be called several times.
        what: names the configuration in errors.

    Raises:
        ConfigError: if the module does not fit into memory, or has too many tensors.
    """
    if getattr(_active, "on", False) or torch.get_default_device().type == "meta":
        with building(what):
            return build()
    draws = torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        with building(what, most=LARGE):
            return build()
    except _Large:
        torch.set_rng_state(draws[0])
        torch.cuda.set_rng_state_all(draws[1])
    _rehearse(build, what)
    with building(what):
        return build()


@contextmanager
def building(what: str, most: float = math.inf) -> Iterator[None]:
    """Build modules in float32, whatever torch's default type is. A tensor larger than memory is an error.

    Args:
        what: names the configuration in the error.
        most: numbers in all tensors together after which the build stops.

    Raises:
        ConfigError: if a tensor does not fit into memory.
    """
    if getattr(_active, "on", False):
        yield
        return
    _active.on = True
    try:
        with _Float32(what, most):
            yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise ConfigError(f"{what} does not fit into the memory that is free. Choose smaller sizes, or end other programs.") from error
    finally:
        _active.on = False


def _rehearse(build: Callable[[], Any], what: str) -> None:
    """Raise ConfigError if a module has too many tensors or needs too much memory. One that fails on the meta device passes."""
    try:
        with torch.device("meta"), building(what):
            part = build()
    except ConfigError:
        raise
    except Exception:  # noqa: BLE001  The user's own code; if it is wrong, the real build says so.
        return
    check_memory(sum(tensor.nbytes for tensor in (*part.parameters(), *part.buffers())), f"The module of {what}")


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


class _Large(Exception):
    """A build has made more than it may without a rehearsal."""


class _Float32(TorchFunctionMode):
    def __init__(self, what: str, most: float) -> None:
        super().__init__()
        self.what, self.most = what, most
        self.tensors = self.numbers = 0

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in _FILLED:
            self._count(args, kwargs)
        # A meta tensor has no values. torch would import its compiler for them, and an algebra system, which takes two seconds.
        if func in _IN_PLACE and (filled := args[0] if args else kwargs["tensor"]).is_meta:
            return filled
        if func is torch.randn and torch.empty(0, device=kwargs.get("device")).is_meta:
            kwargs.pop("generator", None)
            return torch.empty(*args, dtype=kwargs.pop("dtype", None) or torch.float32, **kwargs)
        if kwargs.get("dtype") is not None or torch.get_default_dtype() == torch.float32 or func not in _MADE | _WINDOWS:
            return func(*args, **kwargs)
        if func in _WINDOWS or func in {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.eye}:
            return func(*args, **{**kwargs, "dtype": torch.float32})
        made = func(*args, **kwargs)
        if not made.is_floating_point() or (args and isinstance(args[0], Tensor)):
            return made
        # Made again: rounding to a shorter default type lost digits.
        return func(*args, **{**kwargs, "dtype": torch.float32})

    def _count(self, args: Any, kwargs: Any) -> None:
        """Count a tensor before it is made.

        Raises:
            ConfigError: there are too many, or it cannot fit into memory.
            _Large: there are more than are allowed here.
        """
        self.tensors += 1
        if self.tensors > MOST_TENSORS:
            raise ConfigError(f"{self.what} describes a module of more than {MOST_TENSORS} tensors. Choose fewer layers or blocks.")
        size = args if args and isinstance(args[0], int) else args[0] if args else kwargs.get("size", ())
        if torch.get_default_device().type == "meta" or str(kwargs.get("device") or "").startswith("meta"):
            return
        if not all(isinstance(length, int) for length in size):
            return
        self.numbers += math.prod(size)
        if self.numbers > self.most or self.tensors > self.most / 2**14:
            raise _Large
        check_memory(4 * math.prod(size), f"A tensor of the shape {tuple(size)} in {self.what}")


class _PrivateDraws(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Whether the compiler must not look in here. To say so would import it, which takes a second, and nothing is compiled here."""
        return False

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


def check_memory(needed: float, what: str) -> None:
    """Raise ConfigError if ``needed`` bytes for ``what`` are more than the memory of this machine."""
    there = memory()
    if needed > there:
        raise ConfigError(
            f"{what} takes {needed / 2**30:,.1f} GiB of memory; this machine has {there / 2**30:,.1f} GiB. Choose smaller sizes."
        )


def memory() -> float:
    """The memory in bytes that this process may use: the machine's, or less if it is limited; infinity if unknown."""
    return min(_machine_memory(), _process_limit(), *map(_container_limit, _CONTAINER_LIMITS))


def _machine_memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def _process_limit() -> float:
    """The limit of the address space (``ulimit -v``)."""
    try:
        import resource  # Not on Windows.
    except ImportError:
        return math.inf
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if limit == resource.RLIM_INFINITY else float(limit)


def _container_limit(file: str) -> float:
    """The limit of the container; infinity if there is none."""
    try:
        with open(file, encoding="ascii") as limit:
            return float(limit.read())
    except (OSError, ValueError):  # The file holds "max", or there is none.
        return math.inf
