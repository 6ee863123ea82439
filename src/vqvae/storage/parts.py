"""A trained part as a folder: ``config.json`` beside ``weights.safetensors``. Nothing is ever unpickled.

A folder is written whole or not at all (``vqvae.disk``).
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vqvae import config as configuration
from vqvae import disk
from vqvae.building import private_draws
from vqvae.config import Parts
from vqvae.errors import CheckpointError, ConfigError
from vqvae.models import ModelConfig
from vqvae.priors import PriorConfig
from vqvae.storage.building import CONFIG, WEIGHTS, build_like, check_fit, describe, read_header, readable_tensors
from vqvae.storage.card import RunCard, card_from_extra, card_from_json, card_to_json

FORMAT_VERSION = 2
_THREE_LINES = """    @dataclass(frozen=True, kw_only=True)
    class MyConfig:
        width: int = 64
        def build(self, ...): return MyModule(self, ...)"""


class Stored(NamedTuple):
    """What ``config.json`` says."""

    config: Any
    """The part's configuration, ready to ``build()``."""
    card: RunCard
    """What was saved with it."""


def save(part: nn.Module, folder: Path | str, card: RunCard = RunCard()) -> None:
    """Save a part (a module with a ``config``) as a folder. An older part there is replaced atomically.

    Raises:
        CheckpointError: the folder cannot be written, or contains other files.
        ConfigError: the part could not be built again from its configuration.
    """
    check_storable(part)
    with replacing(disk.user_path(folder, CheckpointError)) as temporary:
        write(part, temporary, card)


def load(folder: Path | str, parts: Parts = ()) -> nn.Module:
    """Load a part on the CPU, in evaluation mode. Draws nothing from torch's generators. ``parts``: see ``read``.

    Raises:
        CheckpointError: a file is missing, damaged or of a newer format, or the files do not fit each other.
    """
    folder = disk.user_path(folder, CheckpointError)
    config = read(folder, parts).config
    part = build_like(config, read_header(folder / WEIGHTS), folder, own=bool(parts))
    tensors = read_tensors(folder / WEIGHTS)
    check_finite(tensors, folder / WEIGHTS)
    restore(part, tensors, folder / WEIGHTS)
    return part.eval()


def read(folder: Path | str, parts: Parts = ()) -> Stored:
    """Read only the configuration and the card of a stored part.

    Args:
        folder: its folder.
        parts: the caller's own configuration classes that it may contain. Nothing is imported by a stored name.

    Raises:
        CheckpointError: ``config.json`` is missing, damaged, of a newer format or of an unknown kind.
    """
    folder = disk.user_path(folder, CheckpointError)
    disk.exists(folder)  # Restores what a killed process was about to replace.
    path = folder / CONFIG
    data = read_json(path)
    cards = {1: ("extra", card_from_extra), 2: ("card", card_from_json)}
    name, read_card = cards[data["format_version"]]
    if not isinstance(data.get("config"), dict) or not isinstance(data.get(name), dict):
        raise CheckpointError(f"{path} lacks 'config' or {name!r}; it is damaged or was not written by vqvae.")
    try:
        config = configuration.from_json(ModelConfig | PriorConfig | configuration.Foreign, data["config"], parts=parts)
        return Stored(config, read_card(data[name]))
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error


def write(part: nn.Module, folder: Path, card: RunCard = RunCard()) -> None:
    """Write the two files of a part into an existing folder, such as that of ``replacing``."""
    write_json({"config": configuration.to_json(part.config), "card": card_to_json(card.with_version())}, folder / CONFIG)
    write_tensors(part.state_dict(), folder / WEIGHTS)


def write_card(folder: Path, card: RunCard, parts: Parts = ()) -> None:
    """Replace the card of a stored part. Configuration and weights stay.

    Raises:
        CheckpointError: the part is damaged, or the folder cannot be written.
    """
    config = read(folder, parts).config
    with disk.atomic(folder / CONFIG, CheckpointError) as path:
        write_json({"config": configuration.to_json(config), "card": card_to_json(card.with_version())}, path)


def check_storable(part: nn.Module) -> None:
    """Raise ConfigError unless a part can be built again from its configuration. Checked before training, not after."""
    config = getattr(part, "config", None)
    if not dataclasses.is_dataclass(config):
        # A module made of parts has no configuration if one of its parts has none.
        bare = _without_config(part) if hasattr(part, "config") else []
        what = f"its parts {bare} have" if bare else "it has"
        raise ConfigError(
            f"{type(part).__name__} cannot be stored: {what} no configuration. Give each a frozen dataclass with a build(), such as\n"
            f"{_THREE_LINES}\nand set self.config in the __init__ of the module. Whoever loads the run names the class: "
            "vqvae.load(run, parts=[MyConfig])."
        )
    name = type(part).__name__
    try:
        again = configuration.from_json(configuration.Foreign | None, configuration.to_json(config), name, configuration.kinds(config))
    except ConfigError as error:
        raise ConfigError(f"{name} could not be loaded again: {error}") from error
    if again != config:
        raise ConfigError(
            f"{name} could not be loaded again as it is: its configuration reads back as {again!r}. Use numbers, strings, tuples and "
            "further configurations."
        )


def check_rebuilt(part: nn.Module) -> None:
    """Raise ConfigError unless the configuration of a part builds a module with the same weights. Checked before training, not after."""
    config: Any = part.config
    with private_draws(), torch.device("cpu"):
        built = config.build()
    found, wanted = ({name: describe(value) for name, value in module.state_dict().items()} for module in (part, built))
    different = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
    if different:
        name = different[0]
        raise ConfigError(
            f"{type(part).__name__} could not be loaded again: its configuration builds {name} as {wanted.get(name, 'nothing')}, and it is "
            f"{found.get(name, 'not there')}. Keep in self.config what the module was built with."
        )


def restore(module: nn.Module, tensors: Mapping[str, Tensor], where: Path) -> None:
    """Copy tensors into a module. Names, shapes and types must agree.

    Raises:
        CheckpointError: they differ; the message lists the first differences. The module is unchanged then.
    """
    tensors = check_fit(module.state_dict(), tensors, where)
    module.load_state_dict(tensors)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write named tensors as safetensors."""
    # Cloned, because safetensors takes neither shared nor permuted memory (tied weights, channels_last).
    save_file({name: torch.clone(value.detach().cpu(), memory_format=torch.contiguous_format) for name, value in tensors.items()}, path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    with readable_tensors(path):
        return load_file(path)


def check_finite(tensors: Mapping[str, Tensor], where: Path) -> None:
    """Raise CheckpointError if a weight is NaN or infinite."""
    wrong = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if wrong:
        raise CheckpointError(f"{where} holds NaN or infinite numbers in {wrong[:4]}. The file is damaged, or the training diverged.")


def write_json(data: Mapping[str, Any], path: Path) -> None:
    """Write an object together with the format version."""
    path.write_text(json.dumps({"format_version": FORMAT_VERSION, **data}, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read an object that ``write_json`` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, or of a newer format.
    """
    try:
        data = configuration.loads(disk.read_text(path), str(path))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing.") from error
    except (ConfigError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or cannot be read ({error}). Copy it again, or remove its folder.") from error
    version = data.get("format_version") if isinstance(data, dict) else None
    if type(version) is not int or version < 1:
        raise CheckpointError(f"{path} has no format_version; it is damaged or was not written by vqvae.")
    if version > FORMAT_VERSION:
        raise CheckpointError(f"{path} has format_version {version}; this release reads up to {FORMAT_VERSION}. Install a newer vqvae.")
    return data


def is_part(folder: Path) -> bool:
    """Whether the folder contains a part that ``save`` wrote."""
    try:
        return "format_version" in disk.read_text(folder / CONFIG)
    except (OSError, ValueError):
        return False


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder to fill. At the end of the block it replaces ``folder``; after an error nothing has changed.

    Raises:
        CheckpointError: the disk is full, the folder is not writable, or ``folder`` contains files that would be lost.
    """
    if (folder / CONFIG).exists() and not is_part(folder):
        raise CheckpointError(f"{folder / CONFIG} was not written by vqvae and would be lost. Choose another folder.")
    with disk.atomic_folder(folder, CheckpointError) as temporary:
        try:
            yield temporary
        except SafetensorError as error:
            raise CheckpointError(f"{folder} could not be written ({error}). What was there before is unchanged.") from error


def _without_config(module: nn.Module, prefix: str = "") -> list[str]:
    """The names of the parts of a module that have no configuration."""
    names = []
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            names += _without_config(child, f"{prefix}{name}.")
        elif not dataclasses.is_dataclass(getattr(child, "config", None)):
            names.append(prefix + name)
    return names
