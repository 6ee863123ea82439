"""Build a stored part without trusting its configuration. The header of the weights file limits the size of the part.

The part is first built on the meta device, which takes no memory, and compared with the header. Then it is built for real.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.modules import module as registration

from vqvae import disk
from vqvae.building import memory, private_draws
from vqvae.errors import CheckpointError, ConfigError
from vqvae.storage.card import upgraded

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
LARGEST_BUFFERS = 2**24
"""Numbers in buffers that are not stored, such as windows and filters; more than any part has."""
_DTYPES = {
    **{f"F{bits}": getattr(torch, f"float{bits}") for bits in (16, 32, 64)},
    **{f"I{bits}": getattr(torch, f"int{bits}") for bits in (8, 16, 32, 64)},
    "BF16": torch.bfloat16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_IMPOSSIBLE = (ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
"""What torch and Python raise for impossible sizes."""


def read_header(path: Path) -> dict[str, Tensor]:
    """The names, shapes and types of the tensors in a file, as tensors on the meta device. Data is not read.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    with readable_tensors(path), safe_open(path, framework="pt") as file:
        header = {}
        for name in file.keys():  # noqa: SIM118 - not a dict.
            stored = file.get_slice(name)
            if stored.get_dtype() not in _DTYPES:
                raise CheckpointError(f"{path} stores {name} as {stored.get_dtype()}; expected one of {sorted(_DTYPES)}.")
            header[name] = torch.empty(stored.get_shape(), dtype=_DTYPES[stored.get_dtype()], device="meta")
    return header


@contextmanager
def readable_tensors(path: Path) -> Iterator[None]:
    """Turn the errors of a safetensors file into a CheckpointError."""
    try:
        disk.check_plain(path)
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing.") from error
    except MemoryError as error:
        raise CheckpointError(f"{path} does not fit in memory.") from error
    except (SafetensorError, OSError, OverflowError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged or cannot be read ({error}). Copy it again, or remove its folder.") from error


def build_like(config: Any, header: Mapping[str, Tensor], folder: Path, own: bool = False) -> nn.Module:
    """Build the part of a stored configuration, with arbitrary weights. Does not use torch's generators.

    Args:
        config: the configuration.
        header: the tensors that the part has, as ``read_header`` gives them.
        folder: the folder of the part, for error messages.
        own: whether it contains classes of the caller's own, which may not work on the meta device.

    Raises:
        CheckpointError: the configuration is impossible, does not fit the header, or needs more memory than the machine has.
    """
    with _limited(header, folder):
        try:
            with torch.device("meta"):
                part = _possible(config.build, folder)
        except CheckpointError:
            if not own:
                raise
        else:
            check_fit(part.state_dict(), header, folder / WEIGHTS)
            _check_memory(part, folder)
        with private_draws(), torch.device("cpu"):
            return _possible(config.build, folder)


def check_fit(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], where: Path) -> dict[str, Tensor]:
    """Compare stored tensors with those of a module: names, shapes and types.

    Returns:
        The stored tensors under the names of this release.

    Raises:
        CheckpointError: they differ; the message lists the first differences.
    """
    tensors = upgraded(tensors, wanted)
    problems = [f"{name} is missing" for name in wanted if name not in tensors]
    problems += [f"{name} is unknown" for name in tensors if name not in wanted]
    problems += [
        f"{name} is {describe(tensors[name])}, expected {describe(value)}"
        for name, value in wanted.items()
        if name in tensors and describe(tensors[name]) != describe(value)
    ]
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise CheckpointError(f"{where} does not fit the configuration: {'; '.join(problems[:4])}{more}.")
    return tensors


def describe(tensor: Tensor) -> str:
    """Type and shape in short: float32[8, 4]."""
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"


def _possible(build: Callable[[], nn.Module], folder: Path) -> nn.Module:
    try:
        return build()
    except CheckpointError:
        raise
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG} describes a part that cannot be built: {error}") from error
    except _IMPOSSIBLE as error:
        raise CheckpointError(f"{folder / CONFIG} describes a part that cannot be built: its sizes are impossible or too large.") from error


def _check_memory(part: nn.Module, folder: Path) -> None:
    """Raise CheckpointError if a part on the meta device is too large to be built here."""
    stored = {id(tensor) for tensor in part.state_dict(keep_vars=True).values()}
    if sum(tensor.numel() for tensor in part.buffers() if id(tensor) not in stored) > LARGEST_BUFFERS:
        raise CheckpointError(f"{folder / CONFIG} describes a part that cannot be built: its buffers are too large.")
    # Twice: the part and, while it is loaded, the tensors of the file.
    needed = 2 * sum(tensor.nbytes for tensor in (*part.parameters(), *part.buffers()))
    if needed > memory():
        sizes = f"{needed / 2**30:.1f} GiB of memory to load; this machine has {memory() / 2**30:.1f} GiB"
        raise CheckpointError(f"{folder / WEIGHTS} needs {sizes}.")


@contextmanager
def _limited(header: Mapping[str, Tensor], folder: Path) -> Iterator[None]:
    """Stop a build in this thread once it registers far more modules, parameters or buffers than the weights file has."""
    most, largest = 1000 + 16 * len(header), LARGEST_BUFFERS + 4 * sum(tensor.numel() for tensor in header.values())
    thread, count, numbers = threading.get_ident(), 0, 0

    def register(module: nn.Module, name: str, registered: Any) -> None:
        nonlocal count, numbers
        if threading.get_ident() != thread:
            return
        count += 1
        numbers += registered.numel() if isinstance(registered, Tensor) else 0
        if count > most or numbers > largest:
            raise CheckpointError(f"{folder / WEIGHTS} does not fit the configuration: it has far less than the configuration describes.")

    hooks = [
        add(register)
        for add in (
            registration.register_module_module_registration_hook,
            registration.register_module_parameter_registration_hook,
            registration.register_module_buffer_registration_hook,
        )
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
